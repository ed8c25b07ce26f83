"""Problems as JSON, for the HTTP API, its clients and the node: the form is part of the API's contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mizzen.resources.key import Key
from mizzen.resources.problems import Level, Position, Problem


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Returns ``{"code","level","message","position","resource","path","hint"}``; position and resource may be null."""
    position, resource = problem.position, problem.resource
    return {
        "code": problem.code,
        "level": problem.level.value,
        "message": problem.message,
        "position": position and {"file": position.file, "line": position.line, "column": position.column},
        "resource": resource and resource._asdict(),
        "path": problem.path,
        "hint": problem.hint,
    }


def problem_from_json(value: Mapping[str, Any]) -> Problem:
    """The inverse of :func:`problem_to_json`. Raises KeyError or ValueError on anything else."""
    position, resource = value.get("position"), value.get("resource")
    return Problem(
        code=value["code"],
        message=value["message"],
        level=Level(value.get("level", Level.ERROR)),
        position=Position(position["file"], position["line"], position.get("column", 1)) if position else None,
        resource=Key(resource["kind"], resource["namespace"], resource["name"]) if resource else None,
        path=value.get("path", ""),
        hint=value.get("hint", ""),
    )
