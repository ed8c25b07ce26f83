"""Compose projects that a mesh starts and stops; Compose, the engine and the control plane are played."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.node.played import PlayedProcess, Stage, pause

from mizzen.latest import Latest
from mizzen.node.composing import Compose, _Told
from mizzen.node.control_client import Attached
from mizzen.node.events import ComposeRuns, ContainerProblem
from mizzen.node.host import StartError
from mizzen.registry.containers import COMPOSE_PROJECT, Container
from mizzen.registry.reports import ContainerState, Instance
from mizzen.settings import ComposeProject

SHOP = ComposeProject("shop", ("compose", "-p", "shop", "-f", "shop.yaml"))
CLUB = ComposeProject("club", ("compose", "-p", "club", "-f", "club.yaml"))


def container(name: str, project: str = "shop", **facts: object) -> Container:
    shown = Container(id=name, name=name, labels={COMPOSE_PROJECT: project}, pid=9, started_at=7.0)
    return dataclasses.replace(shown, **facts)  # type: ignore[arg-type]


def state(name: str, state: str = "Attached", project: str = "shop") -> ContainerState:
    return ContainerState(id=name, name=name, project=project, state=state, instance=name, namespace="default")


class Surroundings:
    """The control plane and the engine. ``running`` is what the engine runs, ``refusals`` how often nothing is taken."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.known: Latest[Mapping[str, Container] | None] = Latest({})
        self.failure = ""
        self.attached: list[str] = []
        self.detached: set[str] = set()
        self.before: tuple[ContainerState, ...] = ()
        self.refusals = 0
        self.engine: tuple[Container, ...] = ()

    async def attach(self, target: str, longest: float) -> Attached:
        del longest
        self.attached.append(target)
        if self.refusals:
            self.refusals -= 1
            return Attached()
        return Attached(self.before, taken=True)

    def attaches(self, target: str) -> bool:
        return target in self.attached and target not in self.detached

    async def running(self, project: str) -> tuple[Container, ...]:
        return tuple(one for one in self.engine if one.project == project)

    def see(self, *containers: Container) -> None:
        self.known.set({one.id: one for one in containers})

    def tell(self, *states: ContainerState, ready: bool = True) -> None:
        for one in states:
            self.stage.board.put(
                Instance(name=one.instance, namespace="default", workload="w", digest="d", phase="Running", ready=ready)
            )
        self.stage.board.tell(containers=states)

    @property
    def runs(self) -> list[str]:
        return [event.command.removeprefix("compose ") for event in self.stage.told(ComposeRuns)]


@pytest.fixture
def around(stage: Stage) -> Surroundings:
    return Surroundings(stage)


@asynccontextmanager
async def composing(around: Surroundings, *projects: ComposeProject) -> AsyncIterator[Compose]:
    stage = around.stage
    stage.host = dataclasses.replace(stage.host, settings=dataclasses.replace(stage.host.settings, compose=projects))
    compose = Compose(stage.host, around, around)
    async with asyncio.timeout(60), compose, asyncio.TaskGroup() as group:
        group.create_task(compose.run())
        await pause()
        yield compose
        compose.stop()


def process(around: Surroundings, number: int) -> PlayedProcess:
    return around.stage.applications[number]


async def stopping(around: Surroundings, *numbers: int) -> None:
    """Lets Compose end when it is asked to stop projects."""
    for number in numbers:
        while len(around.stage.applications) <= number:
            await pause()
        process(around, number).end(0)


async def test_without_projects_there_is_nothing_to_wait_for(around: Surroundings) -> None:
    async with composing(around) as compose:
        assert compose.settled.is_set()
    assert around.runs == []


async def test_a_project_is_attached_before_it_is_started(around: Surroundings) -> None:
    around.refusals = 2
    async with asyncio.TaskGroup() as group, composing(around, SHOP) as compose:
        assert around.attached == ["shop"] * 3
        assert process(around, 0).command.line == [*SHOP.command, "up", "-d"]
        around.engine = (container("web"), container("db"))
        process(around, 0).end(0)
        await pause()
        around.see(container("web"), container("db"))
        around.tell(state("web"), state("db", "Attaching"))
        await pause()
        assert not compose.settled.is_set()
        around.tell(state("web"), state("db"), ready=False)
        await pause()
        assert not compose.settled.is_set()
        around.stage.board.tell(containers=())
        around.tell(state("web"), state("db"))
        await pause()
        assert compose.settled.is_set()
        group.create_task(stopping(around, 1))
    assert around.runs == ["-p shop -f shop.yaml up -d", "-p shop -f shop.yaml stop"]


async def test_what_cannot_become_ready_is_not_waited_for(around: Surroundings) -> None:
    async with asyncio.TaskGroup() as group, composing(around, SHOP) as compose:
        names = ("ended", "sick", "refused", "outside")
        around.engine = tuple(map(container, names))
        process(around, 0).end(0)
        await pause()
        ended = container("ended", state="exited", pid=0)
        around.see(ended, container("sick", health="unhealthy"), container("refused"), container("outside"))
        around.tell(state("sick", "Attaching"), state("refused", "Refused"), state("outside", "Outside"), ready=False)
        await pause()
        assert compose.settled.is_set()
        group.create_task(stopping(around, 1))


async def test_what_is_known_may_be_behind_the_engine(around: Surroundings) -> None:
    async with asyncio.TaskGroup() as group, composing(around, SHOP) as compose:
        around.engine = (container("web"), container("db"))
        around.see(container("web"), container("db", state="exited", pid=0, started_at=3.0))
        around.tell(state("web"))
        process(around, 0).end(0)
        await pause()
        assert not compose.settled.is_set()
        around.see(*around.engine)
        around.tell(state("web"), state("db"))
        await pause()
        assert compose.settled.is_set()
        group.create_task(stopping(around, 1))


async def test_what_ran_before_runs_on(around: Surroundings) -> None:
    around.before = (state("web"),)
    async with composing(around, SHOP):
        process(around, 0).end(0)
        around.engine = (container("web"),)
        around.see(container("web"))
        around.tell(state("web"))
        await pause()
    assert around.runs == ["-p shop -f shop.yaml up -d"]


async def test_what_was_detached_runs_on_and_the_last_is_stopped_first(around: Surroundings) -> None:
    third = ComposeProject("more", ("compose", "-p", "more"))
    around.engine = tuple(container(name, name) for name in ("shop", "club", "more"))
    around.see(*around.engine)
    around.tell(*(state(name, project=name) for name in ("shop", "club", "more")))
    async with asyncio.TaskGroup() as group, composing(around, SHOP, CLUB, third) as compose:
        for number in range(3):
            process(around, number).end(0)
            await pause()
        assert compose.settled.is_set()
        around.detached.add("club")
        group.create_task(stopping(around, 3, 4))
    assert around.runs[3:] == ["-p more stop", "-p shop -f shop.yaml stop"]


async def _end(around: Surroundings, number: int, code: int) -> None:
    while len(around.stage.applications) <= number:
        await pause()
    process(around, number).end(code)


def test_output_is_told_by_lines(tmp_path: Path) -> None:
    told: list[str] = []
    output = _Told(tmp_path / "compose.log", told.append)
    for part in (b"Creating a", b" ...\r\nCreating b ...\rCreating b ... done\n\n", b"rest"):
        output.write(part)
    output.close()
    assert told == ["Creating a ...", "Creating b ... done"]
    assert (tmp_path / "compose.log").read_bytes().endswith(b"\n\nrest")


async def test_interrupted_it_ends_compose_and_stops_what_has_started(around: Surroundings) -> None:
    async with asyncio.TaskGroup() as group:
        async with composing(around, SHOP) as compose:
            group.create_task(stopping(around, 1))
        assert process(around, 0).graces == [10.0]
        assert not compose.settled.is_set()
    assert around.runs[1:] == ["-p shop -f shop.yaml stop"]


async def test_a_stop_that_fails_is_told(around: Surroundings) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_end(around, 1, 4))
        async with composing(around, SHOP):
            pass
    assert [event.message for event in around.stage.told(ContainerProblem)] == [
        "project shop was not stopped: compose -p shop -f shop.yaml stop: exit code 4"
    ]


async def test_who_asks_twice_waits_for_nobody(around: Surroundings) -> None:
    async def run() -> None:
        async with composing(around, SHOP):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        while not around.runs:
            await pause()
        task.cancel()
    assert around.runs == ["-p shop -f shop.yaml up -d"]


async def failing(around: Surroundings, *codes: int) -> str:
    """Has Compose end with these codes, one run after the other; returns why the mesh did not start."""
    try:
        async with asyncio.TaskGroup() as group:
            for number, code in enumerate(codes):
                group.create_task(_end(around, number, code))
            async with composing(around, SHOP):
                await asyncio.Event().wait()
    except BaseExceptionGroup as raised:
        found: BaseException = raised
        while isinstance(found, BaseExceptionGroup):
            (found,) = found.exceptions
        assert isinstance(found, StartError)
        return str(found)
    raise AssertionError("it started")


async def test_a_start_that_fails_is_the_failure_of_the_mesh(around: Surroundings) -> None:
    why = await failing(around, 17, 0)
    assert why.startswith(
        "project shop was not started: `compose -p shop -f shop.yaml up -d` ended with exit code 17; "
    )
    assert around.runs[1:] == ["-p shop -f shop.yaml stop"]


async def test_another_engine_is_found_out(around: Surroundings) -> None:
    assert (await failing(around, 0, 0)).startswith("nothing of project shop runs after ")


async def test_where_no_container_can_be_a_member_nothing_is_started(around: Surroundings) -> None:
    around.failure = "no container engine answers on this host"
    assert await failing(around) == "project shop was not started: no container engine answers on this host"
    assert around.runs == []
