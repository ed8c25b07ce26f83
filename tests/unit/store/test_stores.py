"""Files and applied resources as one store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.written import codes, documents, key, limit_pages, resource, timeouts, virtual_service

from mizzen.resources.problems import Level, errors
from mizzen.store import (
    Action,
    Contents,
    NotFoundError,
    Outcome,
    ReadOnlyError,
    Store,
    StoreError,
    Stores,
    directory,
    stores,
)


@pytest.fixture(autouse=True)
def events_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "RESCAN", 1e6)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mesh"
    root.mkdir()
    return root


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Stores]:
    async with await Stores.open(root.parent / "mizzen.db", [root]) as mesh:
        yield mesh


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Stores]:
    async with opened(root) as mesh, asyncio.TaskGroup() as group:
        task = group.create_task(mesh.run())
        try:
            yield mesh
        finally:
            task.cancel()


async def holds(mesh: Stores, **generations: int) -> Contents:
    async with asyncio.timeout(20):
        async for contents in mesh.watch():
            if timeouts(contents) == generations:
                return contents
    raise AssertionError


def write(path: Path, *texts: str) -> None:
    path.write_text(documents(*texts))


async def test_files_and_applied_resources_are_one(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with running(root) as mesh:
        as_interface: Store = mesh
        assert timeouts(mesh.contents) == {"a": 1}
        version = await as_interface.apply([resource("b")])
        assert (mesh.contents.version, timeouts(mesh.contents)) == (version, {"a": 1, "b": 1})
        write(root / "c.yaml", virtual_service("c"))
        contents = await holds(mesh, a=1, b=1, c=1)
        assert contents.version > version
        await as_interface.delete([key("b")])
        assert timeouts(mesh.contents) == {"a": 1, "c": 1}


async def test_the_oldest_comes_first_and_age_outlives_a_restart(root: Path) -> None:
    write(root / "z.yaml", virtual_service("z"), virtual_service("x"))
    async with running(root) as mesh:
        await mesh.apply([resource("m")])
        write(root / "a.yaml", virtual_service("a"))
        await holds(mesh, z=1, x=1, m=1, a=1)
        await mesh.apply([resource("b")])
        before = mesh.contents
    for _ in range(2):
        async with opened(root) as mesh:
            assert mesh.contents == before
            assert [one.name for one in mesh.contents.resources.values()] == ["x", "z", "m", "a", "b"]
            assert [one.created for one in mesh.contents.resources.values()] == [1, 1, 2, 3, 4]


async def test_versions_grow_across_restarts_with_what_changed_meanwhile(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with opened(root) as mesh:
        await mesh.apply([resource("b")])
        version = mesh.contents.version
    write(root / "a.yaml", virtual_service("a", 2))
    async with opened(root) as mesh:
        assert (mesh.contents.version, timeouts(mesh.contents)) == (version + 1, {"a": 2, "b": 1})
    (root / "a.yaml").unlink()
    async with opened(root) as mesh:
        assert (mesh.contents.version, timeouts(mesh.contents)) == (version + 2, {"b": 1})


async def test_a_resource_in_a_file_cannot_be_changed_by_a_command(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"), virtual_service("b"))
    async with opened(root) as mesh:
        before = mesh.contents
        with pytest.raises(ReadOnlyError) as caught:
            await mesh.apply([resource("new"), resource("a", 2, file="mine.yaml"), resource("b", 2, file="mine.yaml")])
        assert str(caught.value).splitlines() == [
            f"VirtualService default/{name}: it is written in {root}/a.yaml:{line}, which the mesh watches; edit that file"
            for name, line in (("a", 1), ("b", 13))
        ]
        assert {problem.position and problem.position.file for problem in caught.value.problems} == {"mine.yaml"}
        with pytest.raises(ReadOnlyError):
            await mesh.delete([key("a")])
        with pytest.raises(ReadOnlyError):
            await mesh.change(apply=[resource("a", 2)], dry_run=True)
        with pytest.raises(NotFoundError) as unknown:
            await mesh.delete([key("a"), key("x")])
        assert [problem.resource for problem in unknown.value.problems] == [key("x")]
        assert mesh.contents == before


async def test_to_apply_what_a_file_says_changes_nothing(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"), virtual_service("b"))
    async with opened(root) as mesh:
        before = mesh.contents
        outcome = await mesh.change(apply=[resource("a"), resource("b")])
        assert outcome == Outcome(before.version, {key("a"): Action.UNCHANGED, key("b"): Action.UNCHANGED})
        assert before.watched == {key("a"), key("b")}
        assert mesh.contents == before
        outcome = await mesh.change(apply=[resource("b"), resource("c")], dry_run=True)
        assert list(outcome.actions.items()) == [(key("b"), Action.UNCHANGED), (key("c"), Action.CREATED)]
        assert outcome.version == before.version


async def test_a_file_wins_over_what_was_applied_and_both_are_named(root: Path) -> None:
    async with running(root) as mesh:
        await mesh.apply([resource("a", 1, file="from-the-command-line.yaml")])
        write(root / "a.yaml", virtual_service("a", 2))
        contents = await holds(mesh, a=2)
        (problem,) = contents.problems
        assert (problem.code, problem.level, problem.resource) == ("AppliedAndInFile", Level.WARNING, key("a"))
        assert f"in force as written in {root}/a.yaml:1" in problem.message
        assert "also applied, from from-the-command-line.yaml:1" in problem.message
        assert "`mizzen delete virtualservice a --namespace default`" in problem.hint
        assert contents.resources[key("a")].created == 1
        with pytest.raises(ReadOnlyError):
            await mesh.apply([resource("a", 3)])

        outcome = await mesh.change(delete=[key("a")])
        assert outcome.actions == {key("a"): Action.DELETED}
        assert (timeouts(mesh.contents), mesh.contents.problems) == ({"a": 2}, ())
        with pytest.raises(ReadOnlyError):
            await mesh.delete([key("a")])


async def test_what_was_applied_is_in_force_again_when_the_file_goes(root: Path) -> None:
    async with running(root) as mesh:
        await mesh.apply([resource("a", 1)])
        write(root / "a.yaml", virtual_service("a", 2))
        await holds(mesh, a=2)
        (root / "a.yaml").unlink()
        contents = await holds(mesh, a=1)
        assert "AppliedAndInFile" not in codes(contents)
        actions = [(change.action.value, change.file) for change in await mesh.history(key("a"))]
        assert actions == [
            ("configured", "applied.yaml"),
            ("configured", str(root / "a.yaml")),
            ("created", "applied.yaml"),
        ]


async def test_history_and_previous_generations_cover_files(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a", 1))
    async with running(root) as mesh:
        for generation in (2, 3):
            write(root / "a.yaml", virtual_service("a", generation))
            await holds(mesh, a=generation)
        assert [one.spec.http[0].timeout for one in await mesh.previous(key("a"))] == [2, 1]
        assert [change.action.value for change in await mesh.history(key("a"))] == [
            "configured",
            "configured",
            "created",
        ]


async def test_problems_of_files_are_told_apart_from_those_of_applied_resources(root: Path) -> None:
    write(root / "a.yaml", "kind: Nonsense\n")
    async with opened(root) as mesh:
        assert errors(mesh.file_problems)
        assert set(mesh.file_problems) <= set(mesh.contents.problems)
    write(root / "a.yaml", virtual_service("a"))
    async with opened(root) as mesh:
        assert mesh.file_problems == ()
        await mesh.apply([resource("b")])
    async with opened(root) as mesh:
        assert mesh.contents.problems == ()


async def test_a_control_plane_that_starts_again_keeps_the_last_good_contents_of_a_broken_file(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a", 1), virtual_service("b", 1))
    async with opened(root) as mesh:
        before = mesh.contents
    write(root / "a.yaml", virtual_service("a", 2), "kind: Nonsense\n")
    async with running(root) as mesh:
        assert errors(mesh.file_problems)
        assert (mesh.contents.version, mesh.contents.resources) == (before.version, before.resources)
        write(root / "a.yaml", virtual_service("a", 3))
        contents = await holds(mesh, a=3)
        assert contents.problems == ()


async def test_a_moved_line_is_no_new_version_and_the_errors_know_it(root: Path) -> None:
    write(root / "a.yaml", virtual_service("a"))
    async with running(root) as mesh:
        version = mesh.contents.version
        write(root / "a.yaml", "\n\n" + virtual_service("a"))
        async for contents in mesh.watch():
            if contents.resources[key("a")].source.line == 3:
                break
        assert contents.version == version
        with pytest.raises(ReadOnlyError, match=r"a\.yaml:3,"):
            await mesh.delete([key("a")])


async def test_what_cannot_be_recorded_is_not_in_force_until_it_can(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_RETRY", 0.02)
    write(root / "a.yaml", virtual_service("a"))
    async with running(root) as mesh:
        sqlite = mesh._sqlite
        sqlite._thread.submit(limit_pages, sqlite._database).result()
        write(root / "a.yaml", virtual_service("a", 2) + "# " + "x" * 100_000 + "\n", virtual_service("b"))
        async for contents in mesh.watch():
            if contents.problems:
                break
        assert (timeouts(contents), codes(contents)) == ({"a": 1}, ["StoreFull", "FilesNotRecorded"])
        sqlite._thread.submit(limit_pages, sqlite._database, 1_000_000).result()
        contents = await holds(mesh, a=2, b=1)
        assert contents.problems == ()


async def test_a_store_that_cannot_open_leaves_the_database_free(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(directory.Directory, "open", fail)
        with pytest.raises(ZeroDivisionError):
            await Stores.open(root.parent / "mizzen.db", [root])
    async with opened(root):
        pass


async def test_a_second_control_plane_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.store.database._PATIENCE", 0.0)
    async with opened(root):
        with pytest.raises(StoreError, match="in use by another process"):
            await Stores.open(root.parent / "mizzen.db", [root])


async def test_sections(root: Path) -> None:
    async with opened(root) as mesh:
        await mesh.write_section("snapshot", {"version": 7})
    async with opened(root) as mesh:
        assert await mesh.section("snapshot") == {"version": 7}


async def test_a_command_waits_for_an_edit_that_is_being_recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(root) as mesh:
        begun, go_on = threading.Event(), threading.Event()
        write_records = mesh._sqlite._database.write

        def slow_write(*args: Any, **names: Any) -> Any:
            begun.set()
            assert go_on.wait(10)
            return write_records(*args, **names)

        monkeypatch.setattr(mesh._sqlite._database, "write", slow_write)
        write(root / "a.yaml", virtual_service("a"))
        await asyncio.to_thread(begun.wait, 10)
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(ReadOnlyError):
            await mesh.apply([resource("a", 2)])


async def test_commands_and_edits_at_the_same_time(root: Path) -> None:
    """One key is never both: the file's edit and the command may come in any order."""
    async with running(root) as mesh:
        for number in range(10):
            write(root / f"{number}.yaml", virtual_service(f"s-{number}", 2))
            try:
                await mesh.apply([resource(f"s-{number}", 1)])
            except ReadOnlyError:
                assert mesh.contents.resources[key(f"s-{number}")].source.file.startswith(str(root))
        await holds(mesh, **{f"s-{number}": 2 for number in range(10)})
