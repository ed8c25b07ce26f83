"""The database file: what was applied, what was last seen in files, the history of both, and what must be remembered.

Plain SQL, no asyncio, and it blocks: :class:`mizzen.store.sqlite.SqliteStore` calls it on a thread of its own. It knows
resources as text only. Every write is one transaction that is on disk when the method returns; a write that fails
leaves everything as it was, raises one of the store's errors, and may be tried again.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mizzen.resources.key import Key
from mizzen.store.contents import StoreBusyError, StoreCorruptError, StoreError, StoreFullError
from mizzen.store.history import Action, Change, Outcome
from mizzen.store.schema import prepare

# A value that JSON can hold. (A recursive alias is more than pydantic and mypy agree on in Python 3.11.)
Json: TypeAlias = Any

HISTORY_PER_RESOURCE = 100
HISTORY_IN_ALL = 20_000

# How long, in seconds, to wait for the control plane before us to let go of the file.
_PATIENCE = 5.0


class Origin(enum.StrEnum):
    """Where a resource came from. What a file says is in force before what was applied."""

    APPLIED = "applied"
    FILE = "file"


@dataclass(frozen=True)
class Record:
    """One resource as it is stored: its text, and where that was written."""

    key: Key
    origin: Origin
    file: str
    line: int
    text: str = field(repr=False)


@dataclass(frozen=True)
class Written:
    """The result of a write, and the ages of all resources that exist after it."""

    outcome: Outcome
    created: Mapping[Key, int]


class Database:
    """One open database file. For use by one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._path = path
        self._connection = connection
        self._clock = clock

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float], patience: float | None = None) -> Database:
        """Opens the file, or makes it, readable by its owner only: applied resources may hold passwords.

        ``clock`` gives Unix time in seconds; ``patience`` is how long to wait for another process to let go of the
        file. Raises StoreError.
        """
        patience = _PATIENCE if patience is None else patience
        with _translated(path):
            if not path.exists():
                _make(path, patience)
            os.close(os.open(path, os.O_RDWR))  # says better than SQLite why it cannot be opened
            if path.stat().st_size == 0:
                raise StoreCorruptError.at(path, "it is empty, as after a loss of power")
            return cls(path, _prepared(path, patience), clock)

    def close(self) -> None:
        self._connection.close()

    def version(self) -> int:
        """Returns the version of the last change."""
        with _translated(self._path):
            return int(self._connection.execute("SELECT version FROM state").fetchone()[0])

    def records(self) -> list[Record]:
        """Returns all that is stored, in a stable order."""
        with _translated(self._path):
            rows = self._connection.execute(
                "SELECT kind, namespace, name, origin, file, line, text FROM resources"
                " ORDER BY kind, namespace, name, origin"
            ).fetchall()
        return [Record(Key(*row[:3]), Origin(row[3]), *row[4:]) for row in rows]

    def created(self) -> dict[Key, int]:
        """Returns the age of every resource: the version in which it was first seen."""
        with _translated(self._path):
            return self._created()

    def write(
        self, put: Iterable[Record] = (), drop: Iterable[tuple[Key, Origin]] = (), *, dry_run: bool = False
    ) -> Written:
        """Stores and removes records in one transaction, with their history; ``dry_run`` only says what would happen.

        The actions of the outcome tell what became of each key that was named. Raises StoreError.
        """
        put, drop = list(put), list(drop)
        keys = dict.fromkeys([*(record.key for record in put), *(key for key, _ in drop)])
        with self._transaction(keep=not dry_run) as sql:
            before = {key: self._in_force(key) for key in keys}
            stored = {(record.key, record.origin): self._text(record.key, record.origin) for record in put}
            changed = [record for record in put if stored[record.key, record.origin] != record.text]
            (version,) = sql.execute("SELECT version FROM state").fetchone()
            if changed or drop:
                version += 1
                sql.execute("UPDATE state SET version = ?", (version,))
            self._replace(put, drop)
            after = {key: self._in_force(key) for key in keys}
            self._age([key for key in keys if after[key]], [key for key in keys if not after[key]], version)
            for key in keys:
                self._note(key, version, before[key], after[key])
            created = self._created()
        actions = {record.key: _action(stored[record.key, record.origin], record.text) for record in put}
        return Written(Outcome(version, actions | {key: Action.DELETED for key, _ in drop}), created)

    def history(self, key: Key) -> list[Change]:
        """Returns what is remembered of a resource, the latest change first."""
        with _translated(self._path):
            rows = self._connection.execute(
                "SELECT version, action, text, file, line, time FROM history"
                " WHERE (kind, namespace, name) = (?, ?, ?) ORDER BY id DESC",
                key,
            ).fetchall()
        return [Change(row[0], Action(row[1]), *row[2:]) for row in rows]

    def section(self, section: str) -> dict[str, Json]:
        """Returns the values that are remembered under a heading, by name."""
        with _translated(self._path):
            rows = self._connection.execute("SELECT name, value FROM meta WHERE section = ?", (section,)).fetchall()
        return {name: json.loads(value) for name, value in rows}

    def write_section(self, section: str, values: Mapping[str, Json]) -> None:
        """Remembers values under a heading, in one transaction."""
        rows = [(section, name, json.dumps(value, sort_keys=True)) for name, value in values.items()]
        with self._transaction() as sql:
            sql.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)

    def _created(self) -> dict[Key, int]:
        rows = self._connection.execute("SELECT kind, namespace, name, created FROM seen").fetchall()
        return {Key(*row[:3]): row[3] for row in rows}

    def _text(self, key: Key, origin: Origin) -> str | None:
        row = self._connection.execute(
            "SELECT text FROM resources WHERE (kind, namespace, name) = (?, ?, ?) AND origin = ?", (*key, origin.value)
        ).fetchone()
        return row[0] if row else None

    def _in_force(self, key: Key) -> tuple[str, str, int] | None:
        """The text, file and line that count for a key: those of a file, else those that were applied."""
        row: tuple[str, str, int] | None = self._connection.execute(
            "SELECT text, file, line FROM resources WHERE (kind, namespace, name) = (?, ?, ?)"
            " ORDER BY origin = 'file' DESC LIMIT 1",
            key,
        ).fetchone()
        return row

    def _replace(self, put: Iterable[Record], drop: Iterable[tuple[Key, Origin]]) -> None:
        self._connection.executemany(
            "DELETE FROM resources WHERE (kind, namespace, name) = (?, ?, ?) AND origin = ?",
            [(*key, origin.value) for key, origin in drop],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*record.key, record.origin.value, record.file, record.line, record.text) for record in put],
        )

    def _age(self, alive: Iterable[Key], gone: Iterable[Key], version: int) -> None:
        # As in Kubernetes: what was deleted and comes again is young. All that came together is of one age, and
        # goes by name.
        self._connection.executemany("DELETE FROM seen WHERE (kind, namespace, name) = (?, ?, ?)", list(gone))
        self._connection.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", [(*key, version) for key in alive]
        )

    def _note(
        self, key: Key, version: int, before: tuple[str, str, int] | None, after: tuple[str, str, int] | None
    ) -> None:
        change = after or before
        if change is None or (before and after and before[0] == after[0]):
            return
        action = Action.DELETED if after is None else _action(before and before[0], after[0])
        text, file, line = change
        latest = self._connection.execute(
            "INSERT INTO history (kind, namespace, name, version, action, file, line, text, time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, version, action.value, file, line, text, self._clock()),
        ).lastrowid
        self._connection.execute(
            "DELETE FROM history WHERE (kind, namespace, name) = (?, ?, ?) AND id <="
            " (SELECT id FROM history WHERE (kind, namespace, name) = (?, ?, ?) ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (*key, *key, HISTORY_PER_RESOURCE),
        )
        self._connection.execute("DELETE FROM history WHERE id <= ?", ((latest or 0) - HISTORY_IN_ALL,))

    @contextlib.contextmanager
    def _transaction(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        with _translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                # SQLite ends the transaction by itself for some errors, a full disk among them.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _action(before: str | None, after: str) -> Action:
    if before is None:
        return Action.CREATED
    return Action.UNCHANGED if before == after else Action.CONFIGURED


def _make(path: Path, patience: float) -> None:
    """Makes the file as a whole or not at all: an empty one is known to be damaged then."""
    new = path.with_name(f"{path.name}.new")
    for left_over in path.parent.glob(f"{new.name}*"):
        left_over.unlink()
    os.close(os.open(new, os.O_RDWR | os.O_CREAT, 0o600))
    _prepared(new, patience, "DELETE").close()
    with contextlib.suppress(FileExistsError):  # another process was faster, and has it
        os.link(new, path)
    new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _prepared(path: Path, patience: float, journal: str = "WAL") -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
    try:
        prepare(connection, path, journal)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turns SQLite's and the system's errors into the store's, each with what to do about it."""
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(path, error) from error
    except OSError as error:
        raise StoreError.because(
            f"the database {path} cannot be opened: {error.strerror}",
            "check the path and its permissions, or choose another state directory",
        ) from error


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _no_space(path)):
        return StoreFullError.because(
            f"the disk that holds {path} is full; nothing was changed", "free some space and try again"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusyError.because(
            f"the database {path} is in use by another process",
            "a state directory belongs to one running mesh; stop the other, or choose another state directory",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorruptError.at(path, str(error))
    return StoreError.because(f"the database {path} cannot be used: {error}", "check the file and its permissions")


def _no_space(path: Path) -> bool:
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False
