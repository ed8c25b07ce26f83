from __future__ import annotations

import pytest

from mizzen.node.edits import edits
from mizzen.registry.reports import WrittenResource


def written(resource: str, digest: str = "1", file: str = "/mesh/canary.yaml") -> WrittenResource:
    return WrittenResource(resource=resource, digest=digest, file=file)


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ([], [], []),
        ([], [written("VirtualService default/a")], ["VirtualService default/a created (canary.yaml)"]),
        ([written("a")], [written("a")], []),
        ([written("a")], [written("a", "2")], ["a configured (canary.yaml)"]),
        ([written("a")], [written("a", file="/mesh/other.yaml")], []),
        ([written("b"), written("a")], [], ["a deleted (canary.yaml)", "b deleted (canary.yaml)"]),
        # Commands have answers of their own.
        ([], [written("a", file="")], []),
        ([written("a", file="")], [written("a", "2", file="")], []),
        # A file takes the place of what was applied, and goes again.
        ([written("a", file="")], [written("a", "2")], ["a configured (canary.yaml)"]),
        ([written("a", "2")], [written("a", file="")], ["a configured (canary.yaml)"]),
    ],
)
def test_edits_of_watched_files_are_told(
    before: list[WrittenResource], now: list[WrittenResource], lines: list[str]
) -> None:
    assert [event.line for event in edits(before, now)] == lines


@pytest.mark.parametrize(
    ("applied", "begins"),
    [
        (0, []),
        (1, ["1 resource of an earlier `mizzen apply` is in force (`mizzen get all"]),
        (5, ["5 resources of earlier `mizzen apply` are in force (`mizzen get all"]),
    ],
)
def test_at_the_start_it_is_told_what_is_in_force_that_no_file_says(applied: int, begins: list[str]) -> None:
    now = [written("in-a-file"), *(written(str(number), file="") for number in range(applied))]
    assert [event.line[: len(begins[0])] for event in edits(None, now)] == begins
