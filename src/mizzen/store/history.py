"""What happened to a resource, as plain data: the rows of the database's history, and the result of a change."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from mizzen.resources.key import Key


class Action(enum.StrEnum):
    """What became of a resource, in kubectl's words."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """One change of what is in force for a resource: ``text`` came into force, or, when deleted, went out of it.

    ``version`` is the store's version that contains the change, ``time`` the Unix time in seconds when it was made.
    """

    version: int
    action: Action
    text: str = field(repr=False)
    file: str
    line: int
    time: float


@dataclass(frozen=True)
class Outcome:
    """What a change of the store did: the version that contains it, and what became of each resource named."""

    version: int
    actions: Mapping[Key, Action]
