from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.node.engine.played_engine import PlayedEngine

from mizzen.node.engine.client import Engine, Version
from mizzen.node.engine.decoding import Event
from mizzen.node.engine.errors import AnswerError, EngineAwayError


async def test_what_it_says_of_itself(played: PlayedEngine, engine: Engine) -> None:
    assert not await engine.up()
    async with played.serving():
        assert await engine.up()
        assert await engine.version() == Version("Podman Engine", "4.3.1", "1.41")
        played.answers["/version"] = (200, b'{"Version": "1.13", "ApiVersion": "1.25"}')
        assert await engine.version() == Version("Docker", "1.13", "1.25")


async def test_containers(played: PlayedEngine, engine: Engine) -> None:
    played.put("a1", "web")
    async with played.serving():
        assert await engine.ids() == ("a1",)
        assert played.queries[-1] == {"all": ["true"]}
        found = await engine.inspect("a1")
        assert found is not None
        assert (found.id, found.name, found.exposed) == ("a1", "web", (8080, 9090))
        assert await engine.inspect("b") is None
        assert await engine.inspect("a/../a1") is None
        assert played.asked[-1] == "/containers/a/../a1/json"
        half_gone = (
            b'{"cause": "no such container", "message": "container a1 does not exist in database", "response": 500}'
        )
        played.answers["/containers/a1/json"] = (500, half_gone)
        assert await engine.inspect("a1") is None


async def test_events(played: PlayedEngine, engine: Engine) -> None:
    async with played.serving(), engine.events(12.5) as events:
        assert msgspec.json.decode(played.queries[-1]["filters"][0]) == {"type": ["container", "network"]}
        assert played.queries[-1]["since"] == ["12.500000000"]
        played.tell("health_status: healthy", "a1")
        played.send(b"")
        played.send(b'{"Type": 3}')
        played.tell("connect", "n1", "network", container="a1")
        seen = [await anext(events) for _ in range(3)]
    assert seen == [Event("a1", "health_status"), None, Event("a1", "connect", "network")]


async def test_an_engine_that_ends(played: PlayedEngine, engine: Engine) -> None:
    async with played.serving():
        context = engine.events(0)
        events = await context.__aenter__()
    with pytest.raises(EngineAwayError, match=r"cannot be reached .*; is it running"):
        await anext(events)
    await context.__aexit__(None, None, None)
    for request in (engine.ids(), engine.version(), engine.inspect("a1")):
        with pytest.raises(EngineAwayError, match=f"the container engine at {played.socket} cannot be reached"):
            await request
    with pytest.raises(EngineAwayError):
        async with engine.events(0):
            pass


async def test_a_stream_that_ends_in_order(played: PlayedEngine, engine: Engine) -> None:
    async with played.serving(), engine.events(0) as events:
        for subscriber in played._subscribers:
            subscriber.write(b"0\r\n\r\n")
        with pytest.raises(EngineAwayError, match="has ended"):
            await anext(events)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, b'{"message": "database is locked"}'), "the container engine refuses PATH: database is locked"),
        ((500, b"oops"), "the container engine refuses PATH: status 500"),
        ((301, b""), "the container engine refuses PATH: status 301"),
        ((200, b"oops"), "the container engine's answer to PATH is not of the form that Docker's API has: JSON is malformed"),
        ((200, b"null"), "the container engine's answer to PATH is not of the form that Docker's API has: Expected `"),
    ],
)  # fmt: skip
async def test_answers_of_another_form(
    played: PlayedEngine, engine: Engine, answer: tuple[int, bytes], message: str
) -> None:
    paths = {"/containers/json": engine.ids, "/version": engine.version}
    played.answers = dict.fromkeys([*paths, "/containers/a1/json"], answer)
    async with played.serving():
        for path, request in paths.items():
            with pytest.raises(AnswerError) as caught:
                await request()
            assert str(caught.value).startswith(message.replace("PATH", path))
        with pytest.raises(AnswerError, match="/containers/a1/json"):
            await engine.inspect("a1")


async def test_events_that_are_refused(played: PlayedEngine, engine: Engine) -> None:
    played.answers["/events"] = (400, b'{"message": "bad filter"}')
    async with played.serving():
        with pytest.raises(AnswerError, match="refuses /events: bad filter"):
            async with engine.events(0):
                pass


async def test_answers_that_do_not_come(played: PlayedEngine) -> None:
    async with played.serving(), Engine(played.socket, timeout=0.05) as engine:
        played.silent = {"/containers/a1/json", "/containers/json", "/events"}
        with pytest.raises(AnswerError, match=r"gives no answer to /containers/a1/json within 0.05 s; see its log"):
            await engine.inspect("a1")
        with pytest.raises(EngineAwayError, match="gives no answer to /containers/json"):
            await engine.ids()
        with pytest.raises(EngineAwayError, match="gives no answer to /events"):
            async with engine.events(0):
                pass
        played.silent.clear()
        async with engine.events(0) as events:
            await asyncio.sleep(0.1)
            played.tell("start", "a1")
            assert await anext(events) == Event("a1", "start")
