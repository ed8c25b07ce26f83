"""A node asks its engine which containers there are when somebody wants to know."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.node.engine.played_engine import PlayedEngine
from tests.unit.node.played import Stage

from mizzen.latest import Latest
from mizzen.node.host import Host
from mizzen.node.looking import Looking
from mizzen.registry.containers import Container
from mizzen.registry.reports import Look

Watched = Latest[Mapping[str, Container] | None]
WEB, OLD = "a" * 64, "b" * 64


@pytest.fixture
def host(played: PlayedEngine, tmp_path: Path) -> Host:
    host = Stage(tmp_path).host
    return dataclasses.replace(host, settings=dataclasses.replace(host.settings, engine=str(played.socket)))


@asynccontextmanager
async def looking(host: Host, watched: Watched | None = None) -> AsyncIterator[Looking]:
    made = Looking(host, lambda: watched)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        yield made
        task.cancel()


async def seen(host: Host, number: int) -> Look:
    told = await host.board.told.until(lambda facts: "look" in facts and facts["look"].number == number)
    look: Look = told["look"]
    return look


async def test_what_runs_and_what_does_not(played: PlayedEngine, host: Host) -> None:
    played.put(WEB, "web", Pid=42, labels={"com.docker.compose.project": "shop"})
    played.put(OLD, "old", Status="exited", labels={"mizzen.dev/mesh": "maybe"})
    async with played.serving(), looking(host) as looker:
        looker.take(7)
        old, web = (await seen(host, 7)).containers
        assert (web.name, web.project, web.state, web.reason, web.instance) == ("web", "shop", "Outside", "", "web")
        assert (old.name, old.state, old.instance) == ("old", "Stopped", "")
        assert old.reason.startswith("its labels have a mistake")
        asked = len(played.asked)
        looker.take(7)
        looker.forget()
        assert await seen(host, 7) == Look(number=7)
        assert len(played.asked) == asked


async def test_what_is_watched_is_reported_elsewhere(played: PlayedEngine, host: Host) -> None:
    played.put(WEB, "web")
    played.put(OLD, "old", Status="exited")
    watched: Watched = Latest({WEB: Container(WEB, "web")})
    async with played.serving(), looking(host, watched) as looker:
        looker.take(1)
        await played.until_asked("/containers/json")
        watched.set({WEB: Container(WEB, "web"), OLD: Container(OLD, "old", state="exited")})
        assert [one.name for one in (await seen(host, 1)).containers] == ["old"]
        assert played.inspections(OLD) == 0


async def test_an_engine_that_is_away(host: Host) -> None:
    async with looking(host) as looker:
        looker.take(1)
        look = await seen(host, 1)
    assert look.containers == ()
    assert look.problem
