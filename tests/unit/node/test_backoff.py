from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.backoff import Backoff

RULE = Backoff(first=0.2, longest=30.0, factor=2.0, jitter=0.2, stable=30.0)


@pytest.mark.parametrize(
    ("failures", "delay"), [(1, 0.2), (2, 0.4), (3, 0.8), (8, 25.6), (9, 30.0), (10**9, 30.0), (0, 0.2)]
)
def test_delays_double_up_to_the_longest(failures: int, delay: float) -> None:
    assert RULE.delay(failures, 0.0) == pytest.approx(delay)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens_and_by_its_part_at_most(failures: int, chance: float) -> None:
    full = RULE.delay(failures, 0.0)
    assert full * 0.8 <= RULE.delay(failures, chance) <= full


@pytest.mark.parametrize(("before", "ran", "after"), [(0, 0.0, 1), (3, 29.9, 4), (3, 30.0, 1), (0, 100.0, 1)])
def test_a_stable_run_forgets_the_failures_before(before: int, ran: float, after: int) -> None:
    assert RULE.failures(before, ran) == after
