"""What the database holds, as resources: its records parsed, and what a change makes of them. Pure.

Resources are stored as the text that users wrote and are parsed again when the database is opened. So a later version
of Mizzen may refuse what an earlier one accepted: such a record is kept, is not in force, and is a problem.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.problems import Position, Problem, errors
from mizzen.store.contents import AnyResource
from mizzen.store.database import Origin, Record, Written


@dataclass(frozen=True)
class Stored:
    """The database's resources in memory.

    ``applied`` are those that commands wrote, ``files`` those that were last seen in watched files, ``broken`` the
    applied ones that this version of Mizzen does not accept, with the reasons. ``created`` are the ages of all.
    """

    version: int
    created: Mapping[Key, int]
    applied: Mapping[Key, AnyResource]
    files: Mapping[Key, AnyResource]
    broken: Mapping[Key, tuple[Problem, ...]]

    def has_applied(self, key: Key) -> bool:
        return key in self.applied or key in self.broken

    def with_applied(self, written: Written, resources: Collection[AnyResource], deleted: Collection[Key]) -> Stored:
        """Returns what the database holds after a command's change."""
        replaced = {resource.key for resource in resources}.union(deleted)
        applied = {key: resource for key, resource in self.applied.items() if key not in replaced}
        return dataclasses.replace(
            self,
            version=written.outcome.version,
            created=written.created,
            applied=applied | {resource.key: resource for resource in resources},
            broken={key: problems for key, problems in self.broken.items() if key not in replaced},
        )

    def with_files(self, written: Written, resources: Mapping[Key, AnyResource]) -> Stored:
        """Returns what the database holds after a change of the watched files."""
        return dataclasses.replace(
            self, version=written.outcome.version, created=written.created, files=dict(resources)
        )


def stored(version: int, created: Mapping[Key, int], records: Iterable[Record]) -> Stored:
    """Parses all records of a database."""
    applied: dict[Key, AnyResource] = {}
    files: dict[Key, AnyResource] = {}
    broken: dict[Key, tuple[Problem, ...]] = {}
    for record in records:
        resource, problems = parse(record.key, record.text, record.file, record.line)
        if record.origin is Origin.FILE:
            # One that does not load any more is left to the file itself, which is read anyway and has the last word.
            files |= {record.key: resource} if resource else {}
        elif resource:
            applied[record.key] = resource
        else:
            broken[record.key] = (_unusable(record), *problems)
    return Stored(version, created, applied, files, broken)


def parse(key: Key, text: str, file: str, line: int) -> tuple[AnyResource | None, tuple[Problem, ...]]:
    """Parses one stored text: the resource, or None and the errors if it is not accepted any more."""
    loaded = load(text, file, first_line=max(line, 1), default_namespace=key.namespace)
    found = {resource.key: resource for resource in loaded.resources}
    problems = tuple(errors(loaded.problems))
    return (None if problems else found.get(key)), problems


def record(resource: AnyResource, origin: Origin) -> Record:
    """Returns a resource in the form in which it is stored."""
    return Record(resource.key, origin, resource.source.file, resource.source.line, resource.source.text)


def _unusable(record: Record) -> Problem:
    key = record.key
    return Problem(
        code="StoredResource",
        message="it was applied earlier, but this version of Mizzen does not accept it: it is not in force",
        position=Position(record.file, max(record.line, 1)),
        resource=key,
        hint=f"apply a corrected version, or run {delete_command(key)}",
    )


def delete_command(key: Key) -> str:
    return f"`mizzen delete {key.kind.lower()} {key.name} --namespace {key.namespace}`"
