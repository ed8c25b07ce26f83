"""Brings the problems that this process found itself into the form in which the API tells them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mizzen.cli import answers
from mizzen.resources.problems import Problem
from mizzen.resources.problems_json import problem_to_json


def displayed(problems: Iterable[Problem]) -> list[answers.Problem]:
    """Returns the problems as ``output.print_problems`` takes them."""
    return [msgspec.convert(problem_to_json(problem), answers.Problem) for problem in problems]
