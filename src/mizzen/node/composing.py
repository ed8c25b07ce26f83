"""Starts Compose projects inside the mesh, and stops those again that it has started.

    attached → known to the node → `up -d` → their containers are members and ready ... members leave → `stop`

A project is attached before any of its containers starts, so that each is captured as it does.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from mizzen.latest import Latest
from mizzen.node import processes
from mizzen.node.control_client import Attached
from mizzen.node.engine.errors import EngineError
from mizzen.node.events import ComposeRuns, ComposeSaid, ContainerProblem
from mizzen.node.host import Host, StartError
from mizzen.node.output import Output
from mizzen.node.processes import Command, Exit
from mizzen.registry.containers import Container
from mizzen.registry.reports import ContainerState
from mizzen.settings import ComposeProject

# How long the node may take to know what is attached, until that is asked for again, in seconds.
_TAKEN = 10.0
# How long the engine may take to tell of a container that it has started, in seconds.
_TOLD = 10.0
# How long Compose may take to end when a start is given up, in seconds.
_GRACE = 10.0


class Attaching(Protocol):
    async def attach(self, target: str, longest: float) -> Attached:
        """Makes containers members of the mesh: see control_client.py."""
        ...


class Watching(Protocol):
    """What is known of this host's containers: see containers.py."""

    known: Latest[Mapping[str, Container] | None]
    failure: str

    def attaches(self, target: str) -> bool: ...

    async def running(self, project: str) -> tuple[Container, ...]: ...


class Compose:
    """The projects of a mesh's settings. An asynchronous context manager, which stops them when it is left.

    ``settled`` is set when the containers of all are members and ready, as far as they can be.
    """

    def __init__(self, host: Host, control: Attaching, containers: Watching) -> None:
        self._host = host
        self._control = control
        self._containers = containers
        self._started: list[ComposeProject] = []
        self._stop = asyncio.Event()
        self.settled = asyncio.Event()

    async def __aenter__(self) -> Compose:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the projects that were started and are still attached, unless somebody has asked to end at once.

        Their containers have left the mesh before that, in order: whoever calls them has acknowledged, and what was on
        its way has been answered. Stopped first, they would end in the midst of calls. Until they end they call each
        other in plaintext, as after `mizzen detach`. Who has detached a project wants it to go on without the mesh.
        """
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            return
        for project in reversed(self._started):
            if self._containers.attaches(project.name):
                end = await self._run(project, "stop")
                if end.code:
                    self._host.emit(
                        ContainerProblem(f"project {project.name} was not stopped: {_line(project, 'stop')}: {end}")
                    )

    def stop(self) -> None:
        """Gives up what is still being started; :meth:`run` returns when Compose has ended."""
        self._stop.set()

    async def run(self) -> None:
        """Starts the projects, one after the other, and runs until :meth:`stop`.

        Raises :class:`StartError`, in an exception group, for one that cannot be started.
        """
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(self._start_all())
            await self._stop.wait()
            starting.cancel()

    async def _start_all(self) -> None:
        for project in self._host.settings.compose:
            await self._start(project)
        self.settled.set()

    async def _start(self, project: ComposeProject) -> None:
        before = await self._attached(project)
        if not any(one.project == project.name for one in before):
            # What of it ran before was started by somebody else, who does not expect it to end with the mesh.
            self._started.append(project)
        end = await self._run(project, "up", "-d")
        if end.code:
            raise StartError(
                f"project {project.name} was not started: `{_line(project, 'up', '-d')}` ended with {end};"
                f" what it printed is in {self._host.settings.compose_log}"
            )
        await self._joined(project)

    async def _attached(self, project: ComposeProject) -> tuple[ContainerState, ...]:
        """Attaches a project; returns those of its containers that run, when the node knows that they are meant."""
        while True:
            answer = await self._control.attach(project.name, _TAKEN)
            if self._containers.failure:
                raise StartError(f"project {project.name} was not started: {self._containers.failure}")
            if answer.taken:
                return answer.items

    async def _run(self, project: ComposeProject, *words: str) -> Exit:
        """Runs Compose's command, with its output shown; cancelled, it ends the command."""
        self._host.emit(ComposeRuns(project.name, _line(project, *words)))
        settings = self._host.settings
        # The engine that is watched, whichever Compose would find by itself.
        env = {**self._host.env, **({"DOCKER_HOST": f"unix://{settings.engine}"} if settings.engine else {})}
        output = _Told(settings.compose_log, lambda text: self._host.emit(ComposeSaid(project.name, text)))
        command = Command([*project.command, *words], env)
        process = await processes.start(command, output, self._host.records)
        try:
            return await process.wait()
        finally:
            await process.stop(_GRACE)

    async def _joined(self, project: ComposeProject) -> None:
        """Waits until what runs of a project is a member and ready, or cannot be."""
        containers = self._containers
        try:
            running = await containers.running(project.name)
        except EngineError as error:
            raise StartError(f"the engine does not tell what it runs of project {project.name}: {error}") from error
        if not running:
            raise StartError(
                f"nothing of project {project.name} runs after `{_line(project, 'up', '-d')}` on the engine that the"
                " mesh watches; does that command use another engine (see --compose-command, --engine), or has all"
                f" of it ended? (See {self._host.settings.compose_log})"
            )
        try:
            async with asyncio.timeout(_TOLD):
                await containers.known.until(lambda known: _caught_up(known or {}, running))
        except TimeoutError:
            pass  # Somebody has removed one again.
        await self._host.board.told.until(lambda facts: self._all_settled(facts, running))

    def _all_settled(self, facts: Mapping[str, Any], running: Iterable[Container]) -> bool:
        states: dict[str, ContainerState] = {one.id: one for one in facts.get("containers", ())}
        ready = {(one.namespace, one.name) for one in self._host.board.instances if one.ready}
        known = self._containers.known.get() or {}
        for each in running:
            now = known.get(each.id)
            if now is None or not now.alive or now.health == "unhealthy":
                continue
            state = states.get(each.id)
            if state is None or state.state in ("Attaching", "Detaching"):
                return False
            if state.state == "Attached" and (state.namespace, state.instance) not in ready:
                return False
        return True


class _Told(Output):
    """Output of which each line is told, too, as it comes."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        super().__init__(path)
        self._tell = tell
        self._rest = b""

    def write(self, data: bytes) -> None:
        super().write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            # What a program that draws on its terminal leaves on a line is what it wrote there last.
            text = line.decode(errors="replace").rstrip().rpartition("\r")[2]
            if text:
                self._tell(text)


def _caught_up(known: Mapping[str, Container], running: Iterable[Container]) -> bool:
    return all(one.id in known and known[one.id].started_at >= one.started_at for one in running)


def _line(project: ComposeProject, *words: str) -> str:
    return shlex.join([*project.command, *words])
