"""The containers of this host's engine, as the composition root sees them: nothing, until some are to be members.

What makes them members (``members.py``) needs Linux, root, and the packages of the extra "capture", so it is looked for
only then. Where it is not to be had, that is a problem that is told, and the rest of the mesh goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mizzen.latest import Latest
from mizzen.node.capture.available import availability
from mizzen.node.engine.client import Engine
from mizzen.node.engine.errors import EngineError, NoEngineError
from mizzen.node.engine.hooks import Hooks, hooks_folder
from mizzen.node.engine.sockets import find_socket
from mizzen.node.engine.watching import ContainerWatch
from mizzen.node.events import ContainerProblem
from mizzen.node.host import Host
from mizzen.node.instances import InstanceRunner
from mizzen.node.looking import Looking
from mizzen.node.runtimes import Runtime
from mizzen.node.specs import Workload
from mizzen.registry.containers import Container
from mizzen.registry.reports import Attachment, Desired, EgressNames, ServiceName

if TYPE_CHECKING:
    from mizzen.node.capture.nameserver import Names
    from mizzen.node.members import Members

MakeRunner: TypeAlias = Callable[[Host, Workload, str, Callable[[], None], Runtime], InstanceRunner]


class Containers:
    """``settled`` is set when all that should be members are, as far as they can, for the first time.

    ``failure`` says why none can be, or is "". ``known`` are all containers by id, as far as they were looked for.
    """

    def __init__(self, host: Host, make_runner: MakeRunner) -> None:
        self._host = host
        self._make_runner = make_runner
        self._attachments: Sequence[Attachment] = ()
        self._version = 0
        self._services: tuple[ServiceName, ...] = ()
        self._egress: tuple[EgressNames, ...] = ()
        self._names: Names | None = None
        self._members: Members | None = None
        self._engine: Engine | None = None
        self._looking = Looking(host, lambda: self.known if self._members else None)
        self.known: Latest[Mapping[str, Container] | None] = Latest(None)
        self.failure = ""
        self._stopping = False
        self._wake = asyncio.Event()
        self.settled = asyncio.Event()

    @property
    def count(self) -> int:
        """How many members there are."""
        return self._members.count if self._members else 0

    def attaches(self, target: str) -> bool:
        """Tells whether a target is attached by its own name."""
        return any(one.target == target and one.proxy != "none" for one in self._attachments)

    async def running(self, project: str) -> tuple[Container, ...]:
        """Returns the containers of a Compose project that run, as the engine has them now, which may be ahead of
        what is known. Raises EngineError.
        """
        engine = self._engine
        found = [await engine.inspect(one) for one in await engine.ids()] if engine else []
        return tuple(one for one in found if one and one.alive and one.project == project)

    def take(self, desired: Desired) -> None:
        """Takes which containers are to be members, the services that they may call by name, and who wants to see all."""
        self._looking.take(desired.look)
        self._attachments, self._version = desired.attachments, desired.attachments_version
        if (desired.services, desired.egress) != (self._services, self._egress):
            self._services, self._egress = desired.services, desired.egress
            self._name_services()
        if self._members:
            self._members.take(self._attachments, self._version)
        self._wake.set()

    def stop(self) -> None:
        """Detaches all; :meth:`run` returns when the last is detached."""
        self._stopping = True
        if self._members:
            self._members.stop()
        self._wake.set()

    async def run(self) -> None:
        """Runs until :meth:`stop`."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._looking.run(), name="look at containers")
            await self._run()
            looking.cancel()

    async def _run(self) -> None:
        while not self._attachments and not self._stopping:
            self._host.board.tell(attachments_version=self._version)
            await self._wake.wait()
            self._wake.clear()
        if self._stopping:
            return
        if not (found := availability()).usable:
            advice = f": {found.advice}" if found.advice else ""
            await self._do_without(f"containers cannot be members of the mesh: {found.reason}{advice}")
            return
        try:
            engine = Path(self._host.settings.engine) if self._host.settings.engine else find_socket()
        except NoEngineError as error:
            await self._do_without(str(error))
        else:
            await self._run_members(engine)

    async def _do_without(self, why: str) -> None:
        """Says why there are no members, until the mesh is stopped."""
        self.failure = why
        self._host.emit(ContainerProblem(why))
        self.settled.set()
        while not self._stopping:
            self._host.board.tell(problems=(why,), attachments_version=self._version)
            await self._wake.wait()
            self._wake.clear()

    async def _run_members(self, engine_socket: Path) -> None:
        from mizzen.node.capture import claims
        from mizzen.node.capture.attaching import Attachments
        from mizzen.node.capture.nameserver import Names
        from mizzen.node.members import Members

        self._names = Names()
        self._name_services()
        settings = self._host.settings
        capture = Attachments(self._names, settings.namespaces_dir, claims.name_of(settings), self._callers)
        async with Engine(engine_socket) as engine:
            watch = ContainerWatch(engine)
            members = Members(self._host, watch, capture, self._make_runner, self.settled)
            self._engine, self._members, self.known = engine, members, watch.containers
            self._looking.forget()
            members.take(self._attachments, self._version)
            await members.run(await self._hooks(engine, members))

    def _callers(self) -> set[str]:
        """Returns in which network namespaces the node's instances are."""
        return {one.netns for one in self._host.board.instances}

    async def _hooks(self, engine: Engine, members: Members) -> contextlib.AbstractAsyncContextManager[object]:
        """Returns what has the engine tell of containers before they start, if it can."""
        with contextlib.suppress(EngineError):  # One that is away may be Podman.
            if "podman" not in (await engine.version()).engine.lower():
                return contextlib.nullcontext()
        return Hooks(hooks_folder(), self._host.settings.hook_socket, members.begin)

    def _name_services(self) -> None:
        if self._names is not None:
            from mizzen.node.capture.answers import name_table

            self._names.table = name_table(self._services, self._egress)
