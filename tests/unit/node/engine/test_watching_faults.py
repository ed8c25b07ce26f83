"""The watch against an engine that fails, leaves and comes back, and processes that end meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import time

import pytest
from structlog.testing import capture_logs
from tests.unit.node.engine.conftest import open_descriptors
from tests.unit.node.engine.played_engine import PlayedEngine
from tests.unit.node.engine.watched import now, running, states, until

from mizzen.node.engine.client import Engine
from mizzen.node.engine.watching import ContainerWatch

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("answer", [(500, b'{"message": "locked"}'), (200, b"{"), (200, b"null")])
async def test_an_answer_that_cannot_be_used(played: PlayedEngine, engine: Engine, answer: tuple[int, bytes]) -> None:
    played.put("a1", "web")
    played.put("b1", "db")
    played.answers["/containers/a1/json"] = answer
    watch = ContainerWatch(engine)
    with capture_logs() as logs:
        async with played.serving(), running(watch):
            assert set(await until(watch, lambda _: True)) == {"b1"}
            await played.until_asked("/containers/a1/json", 2)
            played.answers.clear()
            before = await until(watch, lambda found: "a1" in found)
            played.answers["/containers/a1/json"] = answer
            played.tell("start", "a1")
            await played.until_asked("/containers/a1/json", 5)
            assert watch.containers.get() == before
    described = [entry for entry in logs if "does not describe it" in entry["event"]]
    assert len(described) == 2
    assert "/containers/a1/json" in described[0]["error"]


async def test_a_container_about_which_there_is_no_answer(played: PlayedEngine) -> None:
    played.put("a1", "web")
    played.put("b1", "db")
    played.silent.add("/containers/a1/json")
    async with Engine(played.socket, timeout=0.2) as engine:
        watch = ContainerWatch(engine)
        async with played.serving(), running(watch):
            await until(watch, lambda found: set(found) == {"b1"})
            assert watch.trouble.get() == ""
            played.silent.clear()
            await until(watch, lambda found: set(found) == {"a1", "b1"})


async def test_the_engine_comes_late_and_leaves_and_comes_back(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    played.put("b1", "db")
    watch = ContainerWatch(engine)
    async with running(watch):
        assert "cannot be reached" in await watch.trouble.until(bool)
        assert watch.containers.get() is None
        async with played.serving():
            before = await until(watch, lambda _: True)
            assert watch.trouble.get() == ""
        await watch.trouble.until(bool)
        assert watch.containers.get() is before
        del played.containers["a1"]
        played.put("b1", "db", Status="paused")
        played.put("c1", "new")
        async with played.serving():
            await watch.trouble.until(lambda trouble: not trouble)
            await until(watch, lambda found: states(found) == {"db": "paused", "new": "running"})
            played.put("c1", "newer")
            played.tell("rename", "c1")
            await until(watch, lambda found: "newer" in states(found))


async def test_it_is_told_once_that_the_engine_is_away(played: PlayedEngine, engine: Engine) -> None:
    watch = ContainerWatch(engine)
    with capture_logs() as logs:
        async with running(watch):
            for _ in range(2):
                async with played.serving():
                    await watch.trouble.until(lambda trouble: not trouble)
                    await until(watch, lambda _: True)
                await watch.trouble.until(bool)
    events = [entry["event"] for entry in logs]
    assert events.count("the container engine is back") >= 1
    assert all(first != second for first, second in itertools.pairwise(events))


@pytest.mark.parametrize("path", ["/events", "/containers/json"])
async def test_an_engine_that_refuses_is_asked_again(played: PlayedEngine, engine: Engine, path: str) -> None:
    played.put("a1", "web")
    played.answers[path] = (500, b'{"message": "locked"}')
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        assert await watch.trouble.until(bool) == f"the container engine refuses {path}: locked"
        played.answers.clear()
        await until(watch, lambda found: "a1" in found)
        assert watch.trouble.get() == ""


async def test_the_end_of_a_process_is_known_before_its_engine_tells(
    played: PlayedEngine, engine: Engine, process: asyncio.subprocess.Process
) -> None:
    played.put("a1", "web", Pid=process.pid, StartedAt=now())
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda found: found["a1"].pid == process.pid)
        began = time.monotonic()
        process.kill()
        one = (await until(watch, lambda found: found["a1"].state == "exited"))["a1"]
        assert time.monotonic() - began < 5
        assert (one.pid, one.netns) == (0, "")
        # The engine is asked, and does not know it yet.
        await played.until_asked("/containers/a1/json", 2)
        played.tell("start", "a1")
        await played.until_asked("/containers/a1/json", 3)
        assert states(await until(watch, lambda _: True)) == {"web": "exited"}
        # Another run.
        played.put("a1", "web", Pid=os.getpid(), StartedAt=now())
        played.tell("start", "a1")
        await until(watch, lambda found: found["a1"].state == "running")


async def test_a_container_that_ends_while_the_engine_is_away(
    played: PlayedEngine, engine: Engine, process: asyncio.subprocess.Process
) -> None:
    played.put("a1", "web", Pid=process.pid, StartedAt=now())
    played.put("b1", "db", Pid=os.getpid(), StartedAt=now())
    watch = ContainerWatch(engine)
    async with running(watch):
        async with played.serving():
            await until(watch, lambda _: True)
        await watch.trouble.until(bool)
        process.kill()
        assert states(await until(watch, lambda found: found["a1"].state == "exited"))["db"] == "running"
        played.put("a1", "web", Status="exited")
        async with played.serving():
            await watch.trouble.until(lambda trouble: not trouble)
            assert states(await until(watch, lambda _: True)) == {"web": "exited", "db": "running"}


async def test_a_number_that_is_another_process_by_now(
    played: PlayedEngine, engine: Engine, process: asyncio.subprocess.Process
) -> None:
    played.put("a1", "web", Pid=process.pid, StartedAt="2020-01-01T00:00:00Z")
    played.put("b1", "db", Pid=process.pid, StartedAt=now())
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        process.kill()
        found = await until(watch, lambda found: found["b1"].state == "exited")
        assert found["a1"].state == "running"


async def test_nothing_is_left_when_it_is_cancelled(
    played: PlayedEngine, engine: Engine, process: asyncio.subprocess.Process
) -> None:
    played.put("a1", "web", Pid=process.pid, StartedAt=now(), Health={"Status": "starting"})
    played.put("b1", "db")
    watch = ContainerWatch(engine)
    async with played.serving():
        async with Engine(played.socket) as other:
            before = open_descriptors()
            watch = ContainerWatch(other)
            async with running(watch):
                await until(watch, lambda _: True)
                played.tell("exec_died", "a1")
                played.answers["/containers/b1/json"] = (500, b"")
                played.tell("start", "b1")
                await played.until_asked("/containers/a1/json", 2)
                await played.until_asked("/containers/b1/json", 2)
        # The other end of a connection takes a turn of the loop.
        await asyncio.sleep(0.05)
        assert open_descriptors() <= before
        assert len(asyncio.all_tasks()) == 1 + len(played._tasks)
