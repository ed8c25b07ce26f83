"""The end of a container, in virtual time, with everything around it played."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pytest
from tests.unit.node.played import Stage, pause

from mizzen.latest import Latest
from mizzen.node.attached import ContainerApplication, ContainerRuntime
from mizzen.node.capture.rules import Stage as Held
from mizzen.node.capturing import Place
from mizzen.registry.containers import Container, ContainerNetwork

pytestmark = pytest.mark.looptime

PLACE = Place("default", "web", "transparent", "10.89.0.7")
NETWORK = ContainerNetwork("shop", "10.89.0.7")
RUNNING = Container(id="web", name="web", state="running", pid=7)

Containers: TypeAlias = Latest[Mapping[str, Container] | None]


class PlayedAttachments:
    """Notes what is done to the one place."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def outlasting(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def __getattr__(self, name: str) -> Any:
        async def note(place: Place) -> None:
            assert place is PLACE
            self.log.append(name)

        return note


def application(stage: Stage, capture: PlayedAttachments, containers: Containers) -> ContainerApplication:
    watch = SimpleNamespace(containers=containers)
    return ContainerApplication(stage.host, cast("Any", capture), cast("Any", watch), RUNNING, PLACE, lambda: None)


@contextlib.asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[tuple[PlayedAttachments, Containers, asyncio.Task[None]]]:
    """Runs a container whose end nobody acknowledges."""
    capture = PlayedAttachments()
    containers: Containers = Latest({"web": RUNNING})
    stage.acknowledgements.clear()
    async with stage.running(application(stage, capture, containers).keep()) as task:
        await pause()
        yield capture, containers, task


async def test_connections_to_one_that_has_ended_are_broken_off_until_all_know_and_once_more(stage: Stage) -> None:
    async with playing(stage) as (capture, containers, task):
        assert capture.log == ["release"]
        containers.set({})
        task.cancel()
        await pause(2)
        assert capture.log[:3] == ["release", "forsake", "break_off"]
        passes = len(capture.log)
        await pause(2)
        assert 4 <= len(capture.log) - passes <= 6
        stage.acknowledgements.set()
        await pause()
        passes = len(capture.log)
        await asyncio.wait([task])
        assert capture.log[passes:] == ["break_off", "admit"]


async def test_a_proxy_that_never_acknowledges_holds_it_up_for_a_bounded_time(stage: Stage) -> None:
    async with playing(stage) as (capture, containers, task):
        containers.set({})
        began = stage.now
        task.cancel()
        await asyncio.wait([task])
        assert stage.now - began == pytest.approx(10, abs=0.5)
        # Its successor may come now, and its callers are still not left waiting.
        passes = len(capture.log)
        await pause(20)
        assert len(capture.log) > passes + 40
        stage.acknowledgements.set()
        await pause(1)
        passes = len(capture.log)
        await pause(5)
        assert len(capture.log) == passes


@pytest.mark.parametrize(
    "now",
    [
        pytest.param({"later": Container(id="later", name="later", pid=8, networks=(NETWORK,))}, id="another's"),
        pytest.param({"web": dataclasses.replace(RUNNING, pid=8, networks=(NETWORK,))}, id="its own again"),
    ],
)
async def test_an_address_that_is_in_use_again_is_not_refused(stage: Stage, now: Mapping[str, Container]) -> None:
    async with playing(stage) as (capture, containers, task):
        containers.set({})
        task.cancel()
        await pause(2)
        assert capture.log[-1] == "break_off"
        containers.set({"other": Container(id="other", name="other", pid=9), **now})
        await pause()
        assert capture.log[-1] == "admit"
        passes = len(capture.log)
        await pause(2)
        assert len(capture.log) == passes
        assert not task.done(), "its successor waits until all know, as before"
        stage.acknowledgements.set()
        await asyncio.wait([task])


async def test_of_one_that_goes_on_nothing_is_broken_off(stage: Stage) -> None:
    capture = PlayedAttachments()
    async with stage.running(application(stage, capture, Latest({"web": RUNNING})).keep()) as task:
        await pause()
        task.cancel()
        await asyncio.wait([task])
    assert capture.log == ["release", "withdraw"]


@pytest.mark.parametrize(
    ("seconds", "orphan", "prepared", "held"),
    [
        pytest.param(1, False, False, True, id="has just started"),
        pytest.param(60, False, False, False, id="has run for long"),
        pytest.param(60, True, False, True, id="was attached by a mesh that was killed"),
        pytest.param(60, False, True, True, id="is held by the hook since it began"),
    ],
)
async def test_what_is_held_is_not_called_past_its_proxy(
    stage: Stage, seconds: float, orphan: bool, prepared: bool, held: bool
) -> None:
    asked = []

    async def attach(_: object, how: Held) -> Place:
        asked.append(how)
        return PLACE

    async def admit(_: object) -> None:
        pass

    capture = SimpleNamespace(
        attach=attach, is_orphan=lambda *_: orphan, is_prepared=lambda netns: prepared and netns == "/n"
    )
    container = dataclasses.replace(RUNNING, netns="/n", started_at=time.time() - seconds)
    described = SimpleNamespace(container=container, name="web", address="", ports=(), networks=(), gateways=())
    host = SimpleNamespace(capture=SimpleNamespace(admit=admit, network=""), env={}, services=tuple)
    watch = SimpleNamespace(containers=Latest({"web": container}))
    runtime = ContainerRuntime(*(cast("Any", one) for one in (host, capture, watch, described)))
    workload = cast("Any", SimpleNamespace(namespace="default"))
    place = await runtime.open(workload)
    assert asked == [Held.HELD if held else Held.WITHDRAWN]
    assert runtime.application(workload, place, lambda: None).bypassed is not held
