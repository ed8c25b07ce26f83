"""The tables of the database, and what it takes to open one: whose file is it, and of which version.

``user_version`` counts the steps of :data:`_STEPS` that a file has seen. A step that was released is never edited: a
new one is added behind it, and runs once, in the transaction that opens the file.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mizzen.store.contents import StoreCorruptError, StoreError, StoreVersionError

# "Mizn": tells our file from some other program's.
APPLICATION_ID = 0x4D697A6E

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        # The version of the whole store, in one row.
        "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL) STRICT",
        "INSERT INTO state VALUES (1, 0)",
        # What users wrote, by where it came from: applied by a command, or last seen in a watched file.
        """CREATE TABLE resources (
             kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
             origin TEXT NOT NULL CHECK (origin IN ('applied', 'file')),
             file TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL,
             PRIMARY KEY (kind, namespace, name, origin)
           ) STRICT, WITHOUT ROWID""",
        # The age of each resource that exists: the version in which it was first seen, whatever its origin.
        """CREATE TABLE seen (
             kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
             PRIMARY KEY (kind, namespace, name)
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE history (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
             version INTEGER NOT NULL, action TEXT NOT NULL,
             file TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, time REAL NOT NULL
           ) STRICT""",
        "CREATE INDEX history_of ON history (kind, namespace, name, id)",
        # What the control plane must remember, as JSON.
        """CREATE TABLE meta (
             section TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
             PRIMARY KEY (section, name)
           ) STRICT, WITHOUT ROWID""",
    ),
)


def prepare(connection: sqlite3.Connection, path: Path, journal: str = "WAL") -> None:
    """Takes sole possession of a database file and brings its tables up to date.

    A file that is still to get its name has no WAL beside it (``journal`` DELETE): all of it is in the one file then.
    Raises StoreCorruptError for a damaged file, StoreVersionError for one from a later version, StoreError for another
    program's, and sqlite3.Error for the rest. Nothing is written before it is known that the file is ours.
    """
    # One control plane owns the file, and keeps all of it in memory. The lock ends with the process, however it ends.
    # It also spares the shared memory file, which could not be made on a full disk.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    steps = _steps_seen(connection, path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    # In WAL mode FULL means that a commit is on the disk when it returns, not only safe from a crash of the process.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    damage = "\n".join(row[0] for row in connection.execute("PRAGMA quick_check(3)"))
    if damage != "ok":
        raise StoreCorruptError.at(path, "; ".join(line for line in damage.splitlines() if line[0] != "*"))
    for step in _STEPS[steps:]:
        for statement in step:
            connection.execute(statement)
    if steps < len(_STEPS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(_STEPS)}")
    connection.execute("COMMIT")


def _steps_seen(connection: sqlite3.Connection, path: Path) -> int:
    (steps,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise StoreError.because(
            f"{path} is the database of another program", "choose another state directory, or move the file away"
        )
    if steps > len(_STEPS):
        raise StoreVersionError.because(
            f"the database {path} was written by a later version of Mizzen (its format is {steps}, this version knows"
            f" up to {len(_STEPS)})",
            "use that version of Mizzen, or choose another state directory",
        )
    return int(steps)
