"""The database: one transaction for a change, its history, and every way in which a file can fail."""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.store.written import execute, key, limit_pages, table

from mizzen.store import (
    Action,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreVersionError,
)
from mizzen.store import database as module
from mizzen.store.database import Database, Origin, Record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mizzen.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = _open(path)
    yield database
    database.close()


def _open(path: Path) -> Database:
    ticks = itertools.count(1000.0)
    return Database.open(path, lambda: next(ticks), patience=0.0)


def _record(name: str, text: str, origin: Origin = Origin.APPLIED, line: int = 1) -> Record:
    return Record(key(name), origin, f"{origin}.yaml", line, text)


def test_a_change_is_one_version_and_tells_what_became_of_each_record(database: Database) -> None:
    first = database.write([_record("a", "1"), _record("b", "1")])
    assert first.outcome.version == 1
    assert first.outcome.actions == {key("a"): Action.CREATED, key("b"): Action.CREATED}
    second = database.write([_record("a", "2"), _record("b", "1")], [(key("c"), Origin.APPLIED)])
    assert second.outcome.version == 2
    assert second.outcome.actions == {
        key("a"): Action.CONFIGURED,
        key("b"): Action.UNCHANGED,
        key("c"): Action.DELETED,
    }


def test_the_same_text_is_no_new_version(database: Database) -> None:
    database.write([_record("a", "1")])
    written = database.write([_record("a", "1", line=9)])
    assert written.outcome.version == database.version() == 1
    assert [(record.text, record.line) for record in database.records()] == [("1", 9)]
    assert len(database.history(key("a"))) == 1


def test_all_of_it_is_there_after_reopening(path: Path) -> None:
    database = _open(path)
    database.write([_record("a", "1"), _record("b", "1", Origin.FILE)])
    database.write_section("restarts", {"default/reviews": 3})
    before = (database.version(), database.records(), database.created(), database.history(key("a")))
    database.close()
    database = _open(path)
    assert (database.version(), database.records(), database.created(), database.history(key("a"))) == before
    assert database.section("restarts") == {"default/reviews": 3}
    database.close()


def test_only_the_owner_may_read_the_file(path: Path, database: Database) -> None:
    database.write([_record("a", "password")])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_age_is_the_version_of_first_sight_whatever_the_origin(database: Database) -> None:
    database.write([_record("old", "1")])
    database.write([_record("young", "1"), _record("old", "2")])
    database.write([_record("old", "3", Origin.FILE)])
    database.write(drop=[(key("old"), Origin.APPLIED)])
    assert database.created() == {key("old"): 1, key("young"): 2}


def test_what_was_deleted_and_comes_again_is_young(database: Database) -> None:
    database.write([_record("a", "1")])
    database.write(drop=[(key("a"), Origin.APPLIED)])
    assert database.created() == {}
    assert database.write([_record("a", "1")]).created == {key("a"): 3}


def test_a_dry_run_tells_and_changes_nothing(database: Database) -> None:
    database.write([_record("a", "1")])
    before = (database.version(), database.records(), database.created(), database.history(key("a")))
    written = database.write([_record("a", "2"), _record("b", "1")], dry_run=True)
    assert written.outcome.actions == {key("a"): Action.CONFIGURED, key("b"): Action.CREATED}
    assert (database.version(), database.records(), database.created(), database.history(key("a"))) == before


def test_history_tells_what_was_in_force(database: Database) -> None:
    database.write([_record("a", "applied")])
    database.write([_record("a", "in a file", Origin.FILE)])
    database.write([_record("a", "applied again")])  # has no effect, so it is no history
    database.write(drop=[(key("a"), Origin.FILE)])
    database.write(drop=[(key("a"), Origin.APPLIED)])
    database.write([_record("a", "back")])
    changes = [(change.version, change.action.value, change.text) for change in database.history(key("a"))]
    assert changes == [
        (6, "created", "back"),
        (5, "deleted", "applied again"),
        (4, "configured", "applied again"),
        (2, "configured", "in a file"),
        (1, "created", "applied"),
    ]
    assert [change.time for change in database.history(key("a"))] == [1004.0, 1003.0, 1002.0, 1001.0, 1000.0]
    assert database.history(key("a"))[3].file == "file.yaml"


def test_history_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HISTORY_PER_RESOURCE", 5)
    for number in range(12):
        database.write([_record("a", str(number)), _record("b", str(number // 6))])
    assert [change.text for change in database.history(key("a"))] == ["11", "10", "9", "8", "7"]
    assert [change.text for change in database.history(key("b"))] == ["1", "0"]
    monkeypatch.setattr(module, "HISTORY_IN_ALL", 4)
    database.write([_record("a", "12")])
    assert [change.text for change in database.history(key("a"))] == ["12", "11", "10", "9"]
    assert database.history(key("b")) == []


def test_sections_hold_json(database: Database) -> None:
    database.write_section("addresses", {"reviews": "240.240.0.1", "ratings": ["a", 1, None, {"b": 2.5}]})
    database.write_section("snapshot", {"version": 7})
    database.write_section("addresses", {"details": "240.240.0.2"})
    assert database.section("addresses") == {
        "reviews": "240.240.0.1",
        "ratings": ["a", 1, None, {"b": 2.5}],
        "details": "240.240.0.2",
    }
    assert database.section("snapshot") == {"version": 7}
    assert database.section("nothing") == {}
    with pytest.raises(TypeError):
        database.write_section("snapshot", {"version": object()})


def test_a_failure_in_the_middle_leaves_everything_as_it_was(database: Database) -> None:
    database.write([_record("a", "1")])
    before = (database.version(), database.records(), database.history(key("a")))

    def break_the_clock() -> float:
        raise ZeroDivisionError

    database._clock = break_the_clock
    with pytest.raises(ZeroDivisionError):
        database.write([_record("a", "2")], [(key("a"), Origin.FILE)])
    assert (database.version(), database.records(), database.history(key("a"))) == before


def test_a_full_disk_is_one_clear_error_and_no_half_a_change(path: Path, database: Database) -> None:
    database.write([_record("a", "1")])
    before = (database.version(), database.records(), database.created(), database.history(key("a")))
    limit_pages(database)
    with pytest.raises(StoreFullError, match=f"the disk that holds {path} is full; nothing was changed; free"):
        database.write([_record("a", "2"), _record("b", "x" * 100_000)])
    assert (database.version(), database.records(), database.created(), database.history(key("a"))) == before
    limit_pages(database, 1_000_000)
    assert database.write([_record("a", "2"), _record("b", "x" * 100_000)]).outcome.version == 2
    database.close()
    assert table(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_damaged_file_is_named_with_what_to_do(path: Path) -> None:
    database = _open(path)
    database.write([_record(str(number), "x" * 1000) for number in range(100)])
    database.close()
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 8 * 4096)
    with pytest.raises(StoreCorruptError, match=f"the database {path} is damaged: Page.*; stop the mesh, then restore"):
        _open(path)


def test_what_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"certainly not a database\n" * 100)
    with pytest.raises(StoreCorruptError, match="file is not a database"):
        _open(path)
    assert path.read_bytes() == b"certainly not a database\n" * 100


def test_a_database_of_a_later_version_is_left_alone(path: Path) -> None:
    _open(path).close()
    execute(path, ["PRAGMA user_version = 99"])
    with pytest.raises(StoreVersionError, match=r"later version of Mizzen \(its format is 99, this version knows"):
        _open(path)


def test_another_programs_database_is_left_alone(path: Path) -> None:
    execute(path, ["CREATE TABLE theirs (x)"])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is the database of another program"):
        _open(path)
    assert path.read_bytes() == before


def test_a_second_owner_is_refused(path: Path, database: Database) -> None:
    database.write([_record("a", "1")])
    with pytest.raises(StoreBusyError, match=f"the database {path} is in use by another process"):
        _open(path)
    database.write([_record("a", "2")])


def test_a_second_process_is_refused(path: Path, database: Database) -> None:
    code = (
        "import sys, pathlib\nfrom mizzen.store.database import Database\n"
        "Database.open(pathlib.Path(sys.argv[1]), lambda: 0.0, patience=0.0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "StoreBusyError" in done.stderr
    assert database.version() == 0


@pytest.mark.parametrize("kind", ["directory", "no parent"])
def test_a_path_that_cannot_be_a_database(path: Path, kind: str) -> None:
    if kind == "directory":
        path.mkdir()
    else:
        path = path / "there" / "mizzen.db"
    with pytest.raises(StoreError, match="cannot be opened"):
        _open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_file_that_may_not_be_written(path: Path) -> None:
    _open(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="cannot be opened: Permission denied"):
        _open(path)


def test_a_commit_is_on_the_disk(database: Database) -> None:
    """FULL: a commit outlives a loss of power, too. No test can pull the plug, so this one reads the setting."""
    connection = database._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize(
    ("name", "free", "expected"),
    [
        ("SQLITE_FULL", 10, StoreFullError),
        ("SQLITE_IOERR_WRITE", 0, StoreFullError),
        ("SQLITE_IOERR_WRITE", 10, StoreError),
        ("SQLITE_IOERR_FSYNC", None, StoreError),
        ("SQLITE_BUSY_SNAPSHOT", 10, StoreBusyError),
        ("SQLITE_LOCKED", 10, StoreBusyError),
        ("SQLITE_CORRUPT_INDEX", 10, StoreCorruptError),
        ("SQLITE_READONLY", 10, StoreError),
    ],
)
def test_each_error_of_sqlite_becomes_one_of_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, free: int | None, expected: type[StoreError]
) -> None:
    def statvfs(folder: Path) -> SimpleNamespace:
        if free is None:
            raise FileNotFoundError(folder)
        return SimpleNamespace(f_bavail=free)

    monkeypatch.setattr(os, "statvfs", statvfs)
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorname = name
    ours = module._store_error(path, error)
    assert type(ours) is expected
    assert str(path) in str(ours)
    assert ours.problems[0].code == expected.code
    assert ours.problems[0].hint


def test_an_empty_file_is_damaged_and_not_a_new_one(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreCorruptError, match="it is empty"):
        _open(path)
    assert path.stat().st_size == 0


def test_an_unfinished_making_is_made_up_for(path: Path) -> None:
    """A process may be killed after it made the file and before it made the tables."""
    path.with_name(f"{path.name}.new").touch()
    path.with_name(f"{path.name}.new-wal").touch()
    database = _open(path)
    assert database.version() == 0
    database.close()
