"""Problems in what users wrote, as values: they travel to the command line, the API, and a resource's status.

Exceptions are for input and output that fails and for bugs; a mistake in a user's file is neither.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mizzen.resources.key import Key

NOT_FOUND = "IST0101"
"""The code of what names something that is not there."""


class Level(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Position(NamedTuple):
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where, and what to do about it.

    ``code`` is stable and searchable (``UnknownField``, or an Istio message code such as ``IST0101``); ``path`` is the
    field (``spec.http[0].route[1].weight``); ``hint`` says what to do. ``in_vain`` marks a warning of what nobody can have
    meant, a route to a host that is not there or a rule that no request reaches: a file may hold it, for what it needs may come
    with another one, but a change of the mesh that would make it so is refused.
    """

    code: str
    message: str
    level: Level = Level.ERROR
    position: Position | None = None
    resource: Key | None = None
    path: str = ""
    hint: str = ""
    in_vain: bool = False

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        what = f"{self.resource}: " if self.resource else ""
        field = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.level}: {what}{field}{self.message}{hint} [{self.code}]"


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Returns the problems that keep a resource from being used."""
    return [problem for problem in problems if problem.level is Level.ERROR]
