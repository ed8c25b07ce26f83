"""The store's errors say the same as text and as problems."""

from __future__ import annotations

import pickle
from pathlib import Path

from tests.unit.store.written import key, resource

from mizzen.resources.problems import Position
from mizzen.store import NotFoundError, ReadOnlyError, StoreCorruptError, StoreError


def test_read_only_says_where_the_resource_is_written() -> None:
    error = ReadOnlyError.of([resource("reviews", file="mesh/reviews.yaml")])
    assert str(error) == (
        "VirtualService default/reviews: it is written in mesh/reviews.yaml:1, which the mesh watches; edit that file"
    )
    assert error.problems[0].position == Position("mesh/reviews.yaml", 4, 9)
    assert error.problems[0].resource == key("reviews")


def test_not_found_lists_every_resource() -> None:
    error = NotFoundError.of([key("a"), key("b")])
    assert str(error) == "VirtualService default/a: it does not exist\nVirtualService default/b: it does not exist"
    assert [problem.resource for problem in error.problems] == [key("a"), key("b")]
    assert {problem.code for problem in error.problems} == {"NotFound"}


def test_corrupt_names_the_file_and_what_to_do() -> None:
    error = StoreCorruptError.at(Path("/state/mizzen.db"), "row 3 missing")
    assert "/state/mizzen.db is damaged: row 3 missing" in str(error)
    assert "restore" in str(error)
    assert isinstance(error, StoreError)


def test_errors_can_cross_processes() -> None:
    error = NotFoundError.of([key("a")])
    copy = pickle.loads(pickle.dumps(error))
    assert copy.problems == error.problems
