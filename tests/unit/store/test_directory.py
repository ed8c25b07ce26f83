"""Watched files: every way in which editors and tools change them takes effect, and by itself.

The regular look without an event is off here: what is seen was told by the system.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.written import codes, documents, key, resource, timeouts, virtual_service

from mizzen.store import Contents, Directory, NotFoundError, ReadOnlyError, Store, StoreError
from mizzen.store import directory as module
from mizzen.store.files import Scan, scan


@pytest.fixture(autouse=True)
def events_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESCAN", 1e6)
    monkeypatch.setattr(module, "_POLL", 1e6)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mesh"
    root.mkdir()
    return root


class Watching:
    """A directory store that runs, and all that it said so far."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.seen = [directory.contents]
        self._watch = directory.watch()

    async def until(self, condition: Callable[[Contents], bool]) -> Contents:
        async with asyncio.timeout(20):
            while not condition(self.seen[-1]):
                self.seen.append(await anext(self._watch))
        return self.seen[-1]

    async def holds(self, **generations: int) -> Contents:
        return await self.until(lambda contents: timeouts(contents) == generations)


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Watching]:
    directory = await Directory.open(paths)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(directory.run())
        try:
            yield Watching(directory)
        finally:
            task.cancel()


def write(path: Path, *texts: str) -> None:
    path.write_text(documents(*texts))


def replace(path: Path, *texts: str) -> None:
    """As most editors and tools do it: a new file, renamed over the old."""
    new = path.with_name(f".{path.name}.tmp")
    write(new, *texts)
    new.rename(path)


async def test_new_edited_renamed_and_deleted_files(root: Path) -> None:
    async with watching(root) as mesh:
        write(root / "a.yaml", virtual_service("a"))
        await mesh.holds(a=1)
        write(root / "a.yaml", virtual_service("a", 2))
        await mesh.holds(a=2)
        replace(root / "a.yaml", virtual_service("a", 3))
        await mesh.holds(a=3)
        write(root / "b.yaml", virtual_service("b"))
        await mesh.holds(a=3, b=1)
        (root / "b.yaml").unlink()
        await mesh.holds(a=3)
        (root / "a.yaml").rename(root / "c.yaml")
        contents = await mesh.until(
            lambda contents: contents.resources[key("a")].source.file.endswith("c.yaml") and not contents.problems
        )
        assert timeouts(contents) == {"a": 3}


async def test_a_directory_that_appears_later(root: Path) -> None:
    later = root / "not" / "yet"
    async with watching(later) as mesh:
        assert codes(mesh.directory.contents) == ["PathMissing"]
        later.mkdir(parents=True)
        await mesh.until(lambda contents: codes(contents) == ["NoResources"])
        write(later / "a.yaml", virtual_service("a"))
        contents = await mesh.holds(a=1)
        assert contents.problems == ()


async def test_a_directory_that_goes_and_comes_again(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with watching(root) as mesh:
        (root / "a.yaml").unlink()
        root.rmdir()
        contents = await mesh.holds()
        assert codes(contents) == ["PathMissing"]
        root.mkdir()
        write(root / "a.yaml", virtual_service("a", 2))
        await mesh.holds(a=2)
        write(root / "a.yaml", virtual_service("a", 3))
        await mesh.holds(a=3)


async def test_a_directory_that_is_swapped_for_another(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    other = root.with_name("other")
    other.mkdir()
    write(other / "a.yaml", virtual_service("a", 2))
    async with watching(root) as mesh:
        root.rename(root.with_name("old"))
        other.rename(root)
        await mesh.holds(a=2)
        write(root / "a.yaml", virtual_service("a", 3))
        await mesh.holds(a=3)
    assert all(timeouts(contents) for contents in mesh.seen)


async def test_a_file_that_is_watched_by_name_and_replaced(root: Path) -> None:
    path = root / "a.yaml"
    write(path, virtual_service("a"))
    async with watching(path) as mesh:
        for generation in range(2, 6):
            replace(path, virtual_service("a", generation))
            await mesh.holds(a=generation)
        path.rename(root / "a.yaml~")  # as vim does it
        write(path, virtual_service("a", 9))
        await mesh.holds(a=9)
    assert all(timeouts(contents) for contents in mesh.seen), "the resource blinked"


async def test_a_kubernetes_config_map(root: Path) -> None:
    def publish(generation: int) -> None:
        folder = root / f"..2026_{generation}"
        folder.mkdir()
        write(folder / "a.yaml", virtual_service("a", generation))
        (root / "..data_tmp").symlink_to(folder.name)
        (root / "..data_tmp").rename(root / "..data")

    publish(1)
    (root / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(root) as mesh:
        for generation in (2, 3):
            publish(generation)
            await mesh.holds(a=generation)
    assert all(timeouts(contents) for contents in mesh.seen)


async def test_a_link_to_a_file_elsewhere(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere / "target", virtual_service("a"))
    (root / "a.yaml").symlink_to(elsewhere / "target")
    async with watching(root) as mesh:
        write(elsewhere / "target", virtual_service("a", 2))
        await mesh.holds(a=2)
        replace(elsewhere / "target", virtual_service("a", 3))
        await mesh.holds(a=3)


async def test_a_release_that_is_switched_by_a_link_on_the_way(root: Path) -> None:
    for release in (1, 2):
        (root / f"release-{release}").mkdir()
        write(root / f"release-{release}" / "a.yaml", virtual_service("a", release))
    current = root / "current"
    current.symlink_to("release-1")
    async with watching(current) as mesh:
        (root / "next").symlink_to("release-2")
        (root / "next").rename(current)
        await mesh.holds(a=2)
        write(root / "release-2" / "a.yaml", virtual_service("a", 3))
        await mesh.holds(a=3)
    assert codes(mesh.seen[-1]) == []


async def test_a_file_with_an_error_keeps_its_last_good_contents(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"), virtual_service("b"))
    write(root / "c.yaml", virtual_service("c"))
    async with watching(root) as mesh:
        write(root / "a.yaml", virtual_service("a", 2), virtual_service("b").replace("timeout", "tiemout"))
        contents = await mesh.until(lambda contents: bool(contents.problems))
        assert (timeouts(contents), codes(contents)) == ({"a": 1, "b": 1, "c": 1}, ["UnknownField", "LastGood"])
        position = contents.problems[0].position
        assert position is not None
        assert (position.file, position.line) == (str(root / "a.yaml"), 23)
        write(root / "c.yaml", virtual_service("c", 2))
        await mesh.holds(a=1, b=1, c=2)
        write(root / "a.yaml", virtual_service("a", 2))
        contents = await mesh.holds(a=2, c=2)
        assert contents.problems == ()


async def test_good_parts_of_a_file_that_is_broken_at_the_start_are_not_used(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"), "kind: Nonsense\n")
    contents = (await Directory.open([root])).contents
    assert (timeouts(contents), codes(contents)) == ({}, ["MissingField", "LastGood"])


async def test_after_a_restart_a_broken_file_is_in_force_as_it_last_was(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a", 2), "kind: Nonsense\n")
    last_good = {key(name): resource(name, file=str(root / "a.yaml")) for name in ("a", "b")}
    last_good[key("gone")] = resource("gone", file=str(root / "gone.yaml"))
    contents = (await Directory.open([root], last_good)).contents
    assert (timeouts(contents), codes(contents)) == ({"a": 1, "b": 1}, ["MissingField", "LastGood"])


async def test_of_a_key_in_two_files_the_first_seen_is_in_force(root: Path) -> None:
    write(root / "b.yaml", virtual_service("x", 1))
    async with watching(root) as mesh:
        write(root / "a.yaml", virtual_service("x", 2))
        contents = await mesh.until(lambda contents: bool(contents.problems))
        assert timeouts(contents) == {"x": 1}
        (problem,) = contents.problems
        assert problem.code == "DuplicateResource"
        assert problem.resource == key("x")
        assert problem.position is not None
        assert problem.position.file == str(root / "a.yaml")
        assert f"also written in {root / 'b.yaml'}:1, which is in force" in problem.message
        (root / "b.yaml").unlink()
        contents = await mesh.holds(x=2)
        assert contents.problems == ()


async def test_of_a_key_in_two_files_at_the_start_the_first_file_is_in_force(root: Path) -> None:
    for generation, name in enumerate("ab", start=1):
        write(root / f"{name}.yaml", virtual_service("x", generation))
    assert timeouts((await Directory.open([root])).contents) == {"x": 1}
    assert timeouts((await Directory.open([root / "b.yaml", root])).contents) == {"x": 2}
    owned = {key("x"): resource("x", 2, file=str(root / "b.yaml"))}
    assert timeouts((await Directory.open([root], owned)).contents) == {"x": 2}


async def test_a_moved_line_is_told(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with watching(root) as mesh:
        write(root / "a.yaml", "# one\n# more\n" + virtual_service("a"))
        contents = await mesh.until(lambda contents: contents.version > 1)
        assert contents.resources[key("a")].source.line == 3
        assert contents.resources == mesh.seen[0].resources


async def test_what_says_nothing_new_is_not_told(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with watching(root) as mesh:
        os.utime(root / "a.yaml", ns=(1, 1))
        write(root / "notes.txt", "nothing")
        write(root / "b.yaml", virtual_service("b"))
        contents = await mesh.holds(a=1, b=1)
        assert contents.version == 2


async def test_commands_cannot_change_files(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    store: Store = await Directory.open([root])
    with pytest.raises(ReadOnlyError, match=f"is written in {root}/a.yaml:1, which the mesh watches; edit that file"):
        await store.apply([resource("a", 2)])
    with pytest.raises(ReadOnlyError):
        await store.delete([key("a")])
    with pytest.raises(NotFoundError):
        await store.delete([key("b")])
    with pytest.raises(StoreError, match="are not applied"):
        await store.apply([resource("b")])


async def test_it_looks_now_and_then_where_the_system_cannot_tell(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(module, "awatch", refuse)
    monkeypatch.setattr(module, "_POLL", 0.01)
    async with watching(root) as mesh:
        write(root / "a.yaml", virtual_service("a"))
        await mesh.holds(a=1)
        (root / "a.yaml").unlink()
        await mesh.holds()


async def test_it_looks_now_and_then_in_case_an_event_was_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object, stop_event: asyncio.Event, **__: object) -> AsyncIterator[set[object]]:
        await stop_event.wait()
        for nothing in list[set[object]]():
            yield nothing

    monkeypatch.setattr(module, "awatch", silence)
    monkeypatch.setattr(module, "RESCAN", 0.01)
    async with watching(root) as mesh:
        write(root / "a.yaml", virtual_service("a"))
        await mesh.holds(a=1)


async def test_what_is_told_during_a_look_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, told, taken = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    async def tell(*_: object, **__: object) -> AsyncIterator[set[object]]:
        await told.wait()
        yield set()
        taken.set()
        await asyncio.Event().wait()

    def scan_and_change(*args: Any) -> Scan:
        now = scan(*args)
        if not taken.is_set():
            write(root / "a.yaml", virtual_service("a"))
            loop.call_soon_threadsafe(told.set)
            assert taken.wait(10)
        return now

    async with watching_by(monkeypatch, root, tell, scan_and_change) as mesh:
        await mesh.holds(a=1)


@asynccontextmanager
async def watching_by(
    monkeypatch: pytest.MonkeyPatch, root: Path, awatch: Callable[..., object], scan: Callable[..., Scan]
) -> AsyncIterator[Watching]:
    directory = await Directory.open([root])
    monkeypatch.setattr(module, "awatch", awatch)
    monkeypatch.setattr(module, "scan", scan)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(directory.run())
        yield Watching(directory)
        task.cancel()


async def test_nothing_to_watch() -> None:
    async with watching() as mesh:
        await asyncio.sleep(0)
        assert mesh.directory.contents == Contents()


async def test_many_edits_one_after_the_other_end_in_the_last(root: Path) -> None:
    async with watching(root) as mesh:
        for generation in range(1, 60):
            (write if generation % 2 else replace)(root / "a.yaml", virtual_service("a", generation))
            if generation % 7 == 0:
                with contextlib.suppress(FileNotFoundError):
                    (root / "a.yaml").unlink()
            await asyncio.sleep(0)
        await mesh.holds(a=59)
