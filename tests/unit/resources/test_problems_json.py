from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.resources.key import Key
from mizzen.resources.problems import Level, Position, Problem
from mizzen.resources.problems_json import problem_from_json, problem_to_json

PROBLEMS = st.builds(
    Problem,
    code=st.text(),
    message=st.text(),
    level=st.sampled_from(Level),
    position=st.none() | st.builds(Position, st.text(), st.integers(1), st.integers(1)),
    resource=st.none() | st.builds(Key, st.text(), st.text(), st.text()),
    path=st.text(),
    hint=st.text(),
)


@given(PROBLEMS)
def test_a_problem_survives_json(problem: Problem) -> None:
    assert problem_from_json(json.loads(json.dumps(problem_to_json(problem)))) == problem


def test_the_form_is_that_of_the_api() -> None:
    problem = Problem("C", "m", Level.WARNING, Position("f", 1, 2), Key("Service", "default", "a"), "spec", "do")
    assert problem_to_json(problem) == {
        "code": "C",
        "level": "warning",
        "message": "m",
        "position": {"file": "f", "line": 1, "column": 2},
        "resource": {"kind": "Service", "namespace": "default", "name": "a"},
        "path": "spec",
        "hint": "do",
    }


def test_something_else_is_no_problem() -> None:
    with pytest.raises(KeyError):
        problem_from_json({"message": "m"})
