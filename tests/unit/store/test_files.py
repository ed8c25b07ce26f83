"""What is read from the disk, and what stays in force of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.unit.store.written import documents, virtual_service

from mizzen.resources.problems import Level
from mizzen.store import files
from mizzen.store.files import GRACE, Scan, scan


def _names(now: Scan) -> dict[str, int]:
    """The generation of each resource, by name, of all files."""
    return {one.name: int(one.spec.http[0].timeout) for file in now.files.values() for one in file.resources}


def _codes(now: Scan) -> list[str]:
    return [problem.code for file in now.files.values() for problem in file.problems]


def _write(path: Path, *texts: str) -> Path:
    path.write_text(documents(*texts))
    return path


def _scan(*paths: Path, before: Scan | None = None, now: float = 0.0) -> Scan:
    return scan(paths, before.files if before else {}, now)


def test_the_files_of_a_directory_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json"):
        _write(tmp_path / name, virtual_service(name[0]))
    now = _scan(tmp_path)
    assert list(_names(now)) == ["a", "b", "c"]
    assert [file.name for file in now.files.values()] == [
        str(tmp_path / name) for name in ("a.yaml", "b.yml", "c.json")
    ]


@pytest.mark.parametrize(
    "name",
    [".a.yaml.swp", ".#a.yaml", "#a.yaml#", "a.yaml~", "4913", "a.yaml.bak", ".hidden.yaml", "README.md", "sedX1"],
)
def test_what_editors_leave_lying_about_does_not_count(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "a.yaml", virtual_service("a"))
    _write(tmp_path / name, "certainly: [not a resource")
    assert (_names(_scan(tmp_path)), _codes(_scan(tmp_path))) == ({"a": 1}, [])


def test_subdirectories_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").mkdir()
    _write(tmp_path / "more.yaml" / "b.yaml", virtual_service("b"))
    now = _scan(tmp_path)
    assert now.files == {}
    assert [problem.code for problem in now.problems] == ["NoResources"]


def test_a_file_that_is_named_counts_whatever_its_name(tmp_path: Path) -> None:
    assert _names(_scan(_write(tmp_path / ".mesh", virtual_service("a")))) == {"a": 1}


def test_a_file_that_is_reached_in_several_ways_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    _write(folder / "a.yaml", virtual_service("a"))
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    now = _scan(Path("mesh"), folder, folder / "a.yaml", tmp_path / "link", Path("mesh/../mesh/a.yaml"))
    assert [file.name for file in now.files.values()] == ["mesh/a.yaml"]


def test_a_relative_path_is_shown_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "a.yaml", virtual_service("a"))
    for path in (Path(), Path("a.yaml")):
        (file,) = _scan(path).files.values()
        assert file.name == "a.yaml"
        assert file.resources[0].source.file == "a.yaml"


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a"))
    first = _scan(tmp_path)
    second = _scan(tmp_path, before=first)
    assert second.files[str(path)].resources[0] is first.files[str(path)].resources[0]
    _write(path, virtual_service("a", 2))
    assert _names(_scan(tmp_path, before=second)) == {"a": 2}


def test_a_file_that_has_only_just_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stamps have steps of some milliseconds: two edits of equal length within one step look the same."""
    path = _write(tmp_path / "a.yaml", virtual_service("a", 1))
    now = _scan(tmp_path)
    assert now.files[str(path)].signature is None
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    now = _scan(tmp_path, before=now)
    assert now.files[str(path)].signature is not None
    assert _names(_scan(tmp_path, before=now)) == {"a": 1}


def test_a_file_that_goes_while_it_is_read_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a"))
    (listed,) = files._list(path)
    before = _scan(path)
    monkeypatch.setattr(files, "_list", lambda _: iter([listed]))
    path.unlink()
    now = _scan(path, before=before)
    assert (_names(now), _codes(now), now.missing) == ({"a": 1}, [], True)


def test_a_file_with_an_error_stays_in_force_as_it_was_whole(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a"), virtual_service("b"))
    good = _scan(tmp_path)
    _write(path, virtual_service("a", 2), virtual_service("b", 2).replace("timeout", "tiemout"))
    broken = _scan(tmp_path, before=good)
    assert _names(broken) == {"a": 1, "b": 1}
    assert _codes(broken) == ["UnknownField", "LastGood"]
    assert broken.files[str(path)].problems[-1].message == ("the file has errors; what it said before stays in force")
    assert _codes(_scan(tmp_path, before=broken)) == ["UnknownField", "LastGood"]
    _write(path, virtual_service("a", 2), virtual_service("b", 2))
    mended = _scan(tmp_path, before=broken)
    assert (_names(mended), _codes(mended)) == ({"a": 2, "b": 2}, [])


def test_nothing_of_a_new_file_with_an_error_is_in_force(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", virtual_service("a"), "kind: Nonsense\n")
    now = _scan(tmp_path)
    assert _names(now) == {}
    assert "nothing of it is in force" in next(iter(now.files.values())).problems[-1].message


def test_an_emptied_file_stays_in_force(tmp_path: Path) -> None:
    """A shell empties the file first in `generate > mesh.yaml`, and the resources must not blink."""
    path = _write(tmp_path / "a.yaml", virtual_service("a"))
    good = _scan(tmp_path)
    path.write_text("\n")
    empty = _scan(tmp_path, before=good)
    assert (_names(empty), _codes(empty)) == ({"a": 1}, ["EmptyFile", "LastGood"])
    path.write_text("# nothing here any more\n")
    assert _names(_scan(tmp_path, before=empty)) == {}


def test_an_empty_file_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert _codes(_scan(tmp_path)) == []


def test_a_file_that_is_gone_goes_after_the_grace(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a"))
    now = _scan(path)
    path.unlink()
    now = _scan(path, before=now, now=10.0)
    assert (_names(now), now.missing) == ({"a": 1}, True)
    now = _scan(path, before=now, now=10.0 + GRACE / 2)
    assert (_names(now), now.missing) == ({"a": 1}, True)
    now = _scan(path, before=now, now=10.0 + GRACE)
    assert (_names(now), now.missing) == ({}, False)
    assert [(problem.code, problem.level) for problem in now.problems] == [("PathMissing", Level.WARNING)]


def test_a_file_that_comes_back_was_never_gone(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a"))
    now = _scan(path)
    path.rename(tmp_path / "a.yaml~")
    now = _scan(path, before=now, now=10.0)
    _write(path, virtual_service("a", 2))
    now = _scan(path, before=now, now=10.0 + GRACE)
    assert (_names(now), now.missing, now.problems) == ({"a": 2}, False, ())


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(virtual_service("a").encode() + b"# caf\xe9\n")
    problem, note = next(iter(_scan(path).files.values())).problems
    assert str(problem) == f"{path}:12:1: error: the file is not UTF-8 text (save it as UTF-8) [YAMLSyntax]"
    assert note.code == "LastGood"


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + virtual_service("a").encode())
    assert (_names(_scan(tmp_path)), _codes(_scan(tmp_path))) == ({"a": 1}, [])


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (file,) = _scan(tmp_path).files.values()
    assert file.problems[0].message == "the file cannot be read: it is not a regular file"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(1 << 40)
    (read,) = _scan(tmp_path).files.values()
    assert read.problems[0].message == "the file cannot be read: it is larger than 16 MiB"


def test_a_link_that_leads_nowhere_keeps_what_it_led_to(tmp_path: Path) -> None:
    target = _write(tmp_path / "target", virtual_service("a"))
    (tmp_path / "a.yaml").symlink_to(target)
    now = _scan(tmp_path)
    target.unlink()
    now = _scan(tmp_path, before=now)
    assert (_names(now), _codes(now)) == ({"a": 1}, ["NotReadable", "LastGood"])


def test_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "b.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    assert _codes(_scan(tmp_path)) == ["NotReadable", "LastGood"] * 2


def test_a_path_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", virtual_service("a")) / "b.yaml"
    (problem,) = _scan(path).problems
    assert (problem.code, problem.level) == ("NotReadable", Level.ERROR)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_a_directory_that_may_not_be_read_stays_in_force(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", virtual_service("a"))
    now = _scan(tmp_path)
    tmp_path.chmod(0)
    try:
        now = _scan(tmp_path, before=_scan(tmp_path, before=now, now=1.0), now=100.0)
    finally:
        tmp_path.chmod(0o700)
    assert (_names(now), now.missing) == ({"a": 1}, False)
    assert [problem.code for problem in now.problems] == ["NotReadable"]
