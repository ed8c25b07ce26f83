"""The watch against an engine of our own: what its events do."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.unit.node.engine.played_engine import PlayedEngine
from tests.unit.node.engine.watched import running, states, until

from mizzen.node.engine.client import Engine
from mizzen.node.engine.watching import ContainerWatch

pytestmark = pytest.mark.timeout(120)


async def test_all_containers_are_known_at_once_and_nothing_before(played: PlayedEngine, engine: Engine) -> None:
    for number in range(20):
        played.put(f"a{number}", f"web-{number}")
    played.open.clear()
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await played.until_asked("/containers/a0/json")
        assert watch.containers.get() is None
        assert played.asked[:2] == ["/events", "/containers/json"]
        played.open.set()
        first = await until(watch, lambda _: True)
        assert len(first) == 20
        assert all(played.inspections(id_) == 1 for id_ in played.containers)


async def test_an_engine_without_containers(played: PlayedEngine, engine: Engine) -> None:
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        assert await until(watch, lambda _: True) == {}


@pytest.mark.parametrize(
    "action",
    [
        "create",
        "init",
        "start",
        "restart",
        "die",
        "died",
        "stop",
        "kill",
        "pause",
        "unpause",
        "rename",
        "cleanup",
        "health_status",
        "update",
    ],
)
async def test_an_event_has_its_container_read(played: PlayedEngine, engine: Engine, action: str) -> None:
    played.put("a1", "web")
    played.put("b1", "db")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.put("a1", "www", Status="paused")
        played.tell(action, "a1")
        assert states(await until(watch, lambda found: "www" in states(found))) == {"www": "paused", "db": "running"}
        assert played.inspections("b1") == 1


@pytest.mark.parametrize("attributes", [{"container": "a1"}, {}])
async def test_events_of_networks(played: PlayedEngine, engine: Engine, attributes: dict[str, str]) -> None:
    """Docker's tell of a network and a container, Podman's of a container or, if they should, of a network alone."""
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.put("a1", "web", aliases=["more"])
        played.tell("connect", "f00", "network", **attributes)
        await until(watch, lambda found: "more" in found["a1"].networks[0].aliases)


@pytest.mark.parametrize("action", ["exec_create: ls", "exec_start: ls", "exec_die", "exec_died", "attach", "top"])
async def test_events_that_change_nothing(played: PlayedEngine, engine: Engine, action: str) -> None:
    played.put("a1", "web")
    played.put("b1", "db")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.tell(action, "a1")
        played.put("b1", "db", Status="paused")
        played.tell("pause", "b1")
        await until(watch, lambda found: found["b1"].state == "paused")
        assert played.inspections("a1") == 1


async def test_the_result_of_a_health_check_is_kept_after_it_is_told(played: PlayedEngine, engine: Engine) -> None:
    """Podman 4.3: the check has ended, the container is read, and only then its health changes."""
    played.put("a1", "web", Health={"Status": "starting"})
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.tell("exec_died", "a1")
        await played.until_asked("/containers/a1/json", 2)
        played.put("a1", "web", Health={"Status": "healthy"})
        await until(watch, lambda found: found["a1"].health == "healthy")


@pytest.mark.parametrize("action", ["remove", "destroy"])
async def test_removal(played: PlayedEngine, engine: Engine, action: str) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.containers.clear()
        played.tell(action, "a1")
        await until(watch, lambda found: not found)


async def test_what_is_removed_while_it_is_read_does_not_come_back(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.open.clear()
        played.tell("start", "a1")
        await played.until_asked("/containers/a1/json", 2)
        played.tell("remove", "a1")
        await until(watch, lambda found: not found)
        played.answers["/containers/a1/json"] = (404, b"")
        played.open.set()
        await played.until_asked("/containers/a1/json", 3)
        await until(watch, lambda found: not found)


async def test_a_container_that_is_gone_when_it_is_read(played: PlayedEngine, engine: Engine) -> None:
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.tell("create", "a1")
        await played.until_asked("/containers/a1/json")
        played.put("b1", "db")
        played.tell("create", "b1")
        assert set(await until(watch, bool)) == {"b1"}


async def test_many_events_have_a_container_read_twice(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.open.clear()
        played.tell("start", "a1")
        await played.until_asked("/containers/a1/json", 2)
        for _ in range(50):
            played.tell("start", "a1")
        played.put("b1", "db")
        played.tell("create", "b1")
        await played.until_asked("/containers/b1/json")  # all events before it are heard
        played.put("a1", "last")
        played.open.set()
        await until(watch, lambda found: set(states(found)) == {"last", "db"})
        await played.until_asked("/containers/a1/json", 3)
        played.put("c1", "new")
        played.tell("create", "c1")
        await until(watch, lambda found: "c1" in found)
        assert played.inspections("a1") == 3


async def test_what_did_not_change_is_not_told(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        first = await until(watch, lambda _: True)
        played.tell("start", "a1")
        await played.until_asked("/containers/a1/json", 2)
        played.tell("start", "a1")
        await played.until_asked("/containers/a1/json", 3)
        assert watch.containers.get() is first


async def test_an_event_of_an_unknown_form_has_everything_read(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        played.put("a1", "www")
        played.send(b'{"Actor": []}')
        await until(watch, lambda found: "www" in states(found))


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_file_of_podmans_events_is_ahead(
    played: PlayedEngine, engine: Engine, tmp_path: Path, at_once: bool
) -> None:
    """The engine is this process, and has its file open from the beginning or from its first event on."""
    file = tmp_path / "events.log"
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    with contextlib.ExitStack() as stack:
        if at_once:
            stack.enter_context(file.open("a"))
        async with played.serving(), running(watch):
            await until(watch, lambda _: True)
            if not at_once:
                stack.enter_context(file.open("a"))
                played.tell("pause", "a1")
                await played.until_asked("/containers/a1/json", 2)
            played.put("a1", "www")
            with file.open("ab") as opened:
                opened.write(b'{"ID": "a1", "Status": "rename", "Type": "container", "Attributes": null}\n')
            await until(watch, lambda found: "www" in states(found))


async def test_events_of_other_things(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    watch = ContainerWatch(engine)
    async with played.serving(), running(watch):
        await until(watch, lambda _: True)
        for kind, action in (("pod", "start"), ("image", "remove"), ("network", "create"), ("", "start")):
            played.tell(action, "a1", kind)
        played.put("b1", "db")
        played.tell("create", "b1")
        await until(watch, lambda found: "b1" in found)
        assert played.inspections("a1") == 1
