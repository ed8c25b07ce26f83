"""The one interface of all stores: what they contain, how it is watched and changed, and how a change can fail.

A mistake in what a user wrote is a problem inside :class:`Contents`. A change that cannot be made is an exception; its
``problems`` say the same as its text, in the form in which problems reach the command line and the API:

    StoreError
    ├── ReadOnlyError       the resource is written in a file
    ├── NotFoundError       there is no such resource
    ├── StoreFullError      no space left where the database is
    ├── StoreBusyError      another process has the database open
    ├── StoreCorruptError   the database is damaged, or is no database
    └── StoreVersionError   the database was written by a later version of Mizzen
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from mizzen.resources.key import Key
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource

# What any kind's resource is where the kind does not matter.
AnyResource: TypeAlias = Resource[Any]


@dataclass(frozen=True)
class Contents:
    """All that a store holds at one moment.

    ``version`` grows whenever a resource comes, goes, or is written differently. Contents of one version hold equal
    resources but may differ in what does not count: where resources are written, and which problems there are. Each
    resource is stamped with its age (``created``). ``watched`` are those that are written in watched files.
    """

    version: int = 0
    resources: Mapping[Key, AnyResource] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    watched: frozenset[Key] = frozenset()


class Store(Protocol):
    """Where resources live. Every method is called from the event loop that the store was opened in."""

    @property
    def contents(self) -> Contents:
        """What the store holds now."""

    def watch(self) -> AsyncIterator[Contents]:
        """Yields the contents of now, then the latest after each change, without end."""

    async def apply(self, resources: Sequence[AnyResource]) -> int:
        """Creates or replaces all of these resources, or none, and returns the version that contains them.

        The change is on disk and in ``contents`` when this returns. A resource whose text is the same as before is
        left alone; if that goes for all of them the version stays what it is. Raises StoreError.
        """

    async def delete(self, keys: Sequence[Key]) -> int:
        """Deletes all of these resources, or none, and returns the version without them. Raises StoreError."""


class StoreError(Exception):
    """A change to a store, or its opening, that failed; the store is as it was before."""

    code: ClassVar[str] = "StoreError"

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    @classmethod
    def because(cls, message: str, hint: str = "") -> StoreError:
        """Makes the error from one sentence that belongs to no resource."""
        return cls(Problem(code=cls.code, message=message, hint=hint))

    def __str__(self) -> str:
        return "\n".join(map(_in_words, self.problems))


def _in_words(problem: Problem) -> str:
    what = f"{problem.resource}: " if problem.resource else ""
    return f"{what}{problem.message}{f'; {problem.hint}' if problem.hint else ''}"


class ReadOnlyError(StoreError):
    """Resources that cannot be changed by a command, because a watched file holds them."""

    code = "ReadOnly"

    @classmethod
    def of(cls, resources: Iterable[AnyResource], given: Mapping[Key, AnyResource] | None = None) -> ReadOnlyError:
        """``resources`` are those in watched files, ``given`` what a command wanted to put in their place."""
        given = given or {}
        return cls(
            *(
                Problem(
                    code=cls.code,
                    message=f"it is written in {resource.source.file}:{resource.source.line}, which the mesh watches",
                    position=given.get(resource.key, resource).source.position("metadata.name"),
                    resource=resource.key,
                    hint="edit that file",
                )
                for resource in resources
            )
        )


class NotFoundError(StoreError):
    """Resources that do not exist; ``problems`` lists every one of them."""

    code = "NotFound"

    @classmethod
    def of(cls, keys: Iterable[Key]) -> NotFoundError:
        return cls(*(Problem(code=cls.code, message="it does not exist", resource=key) for key in keys))


class StoreFullError(StoreError):
    """There is no space where the database is; it works again as soon as there is."""

    code = "StoreFull"


class StoreBusyError(StoreError):
    """Another process has the database open. One control plane owns it, for as long as it runs."""

    code = "StoreBusy"


class StoreCorruptError(StoreError):
    """The database is damaged, or the file is something else."""

    code = "StoreCorrupt"

    @classmethod
    def at(cls, path: Path, reason: str) -> StoreCorruptError:
        hint = (
            f"stop the mesh, then restore the file from a backup, or save what can be read (sqlite3 {path} .recover)"
            " and move the file away: the mesh then starts without what `mizzen apply` had stored; your own files are"
            " not affected"
        )
        return cls(Problem(code=cls.code, message=f"the database {path} is damaged: {reason}", hint=hint))


class StoreVersionError(StoreError):
    """The database was written by a later version of Mizzen, whose tables this version does not know."""

    code = "StoreVersion"
