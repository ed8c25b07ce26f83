"""Each trap of Istio's behaviour that concerns traffic has a test (``tests/support/traps.py``)."""

from __future__ import annotations

from tests.support.traps import NUMBERS, TRAFFIC, marked

MARKED = marked()


def test_every_trap_of_traffic_has_a_test() -> None:
    missing = {number: words for number, words in TRAFFIC.items() if number not in MARKED}
    assert not missing, "\n".join(f"trap {number} has no test: {words}" for number, words in missing.items())


def test_every_mark_is_of_a_trap() -> None:
    unknown = {number: tests for number, tests in MARKED.items() if number not in NUMBERS}
    assert not unknown


def test_the_traps_of_traffic_are_these() -> None:
    """Those of the checklist: what is taken off the list is not forgotten by that."""
    assert sorted(TRAFFIC) == [*range(1, 23), *range(31, 36), *range(40, 44)]
