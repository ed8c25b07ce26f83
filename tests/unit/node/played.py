"""A host for instances in which everything beyond their own code is played, in virtual time.

The Envoys and applications are not processes but objects that a test ends when it wants; the control plane takes
reports and acknowledges at once, or never. ``log`` has all that happened, in order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from mizzen.node import envoy, probes, processes, specs
from mizzen.node.announcing import Board
from mizzen.node.backoff import Backoff
from mizzen.node.bootstrap import BootstrapView
from mizzen.node.capturing import CaptureError, DeclaredPort, Place, TakenError
from mizzen.node.envoy import EnvoyFailedError
from mizzen.node.events import Event
from mizzen.node.file_secrets import FileSecrets
from mizzen.node.host import Host
from mizzen.node.instances import InstanceRunner
from mizzen.node.leftovers import Records
from mizzen.node.node_proxy import NodeProxy
from mizzen.node.output import Output
from mizzen.node.probes import Answer, Probe, Surroundings
from mizzen.node.processes import Command, Exit
from mizzen.node.runtimes import ProcessRuntime
from mizzen.node.specs import Workload
from mizzen.registry.reports import (
    DesiredWorkload,
    EgressNames,
    Instance,
    InstancePort,
    OutboundPort,
    Report,
    ServiceName,
)
from mizzen.settings import Settings

E = TypeVar("E", bound=Event)


async def pause(seconds: float = 0.001) -> None:
    """Lets virtual time pass, and with it everything happen that can happen in it."""
    await asyncio.sleep(seconds)


def open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


def workload(name: str = "web", digest: str = "1", **spec: Any) -> Workload:
    return specs.read(desired(name, digest, **spec))


def desired(name: str = "web", digest: str = "1", restarts: int = 0, **spec: Any) -> DesiredWorkload:
    full = {"command": ["serve", "$(PORT)"], "ports": [{"containerPort": 9080}]} | spec
    return DesiredWorkload(namespace="default", name=name, digest=digest, spec=full, restarts=restarts)


class PlayedProcess:
    """An application. It runs until :meth:`end`, or until it is stopped."""

    def __init__(self, stage: Stage, command: Command, pid: int) -> None:
        self.command = command
        self.pid = pid
        self.tail: list[str] = []
        self.graces: list[float] = []
        self._stage = stage
        self._began = stage.now
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        return not self._exit.done()

    def end(self, code: int = 0, *last_words: str, complaint: str | None = None) -> None:
        self.tail += last_words
        self._exit.set_result(Exit(code, self._stage.now - self._began, complaint))

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def stop(self, grace: float) -> Exit:
        if self.running:
            self.graces.append(grace)
            self._stage.log.append("application is asked to end")
            self.end(-15)
        return await self.wait()


class PlayedEnvoy:
    """An Envoy. It is ready when its stage says so and it has what it needs, and runs until :meth:`end`, or until it is stopped."""

    def __init__(self, stage: Stage, sidecar: BootstrapView, pid: int) -> None:
        self.sidecar = sidecar
        self.pid = pid
        self._stage = stage
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def end(self, code: int = 1) -> None:
        self._exit.set_result(Exit(code, 0.0))

    async def ready(self) -> None:
        async with asyncio.TaskGroup() as group:
            gate = group.create_task(self._stage.envoy_ready())
            either: list[asyncio.Future[Any]] = [gate, self._exit]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            gate.cancel()
        if self._exit.done():
            raise EnvoyFailedError("Envoy ended before it was ready")
        self._stage.log.append("proxy is ready")

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def listeners(self) -> frozenset[str]:
        return self._stage.listeners

    async def drain_seat(self, prefix: str, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        self._stage.log.append(f"seat {prefix} drains")
        await asyncio.sleep(min(self._stage.drain_time, longest))

    async def drain(self, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        self._stage.log.append("proxy drains, with what goes out" if outbound else "proxy drains")
        await asyncio.sleep(min(self._stage.drain_time, longest))

    def kill(self) -> None:
        self._stage.log.append("proxy is killed")
        self.end(-9)

    async def stop(self) -> Exit:
        self._stage.log.append("proxy is ended")
        if not self._exit.done():
            self.end(0)
        return await self.wait()


class Stage:
    """All that instances meet. Gates that are clear keep them waiting; lists of failures are used up one by one.

    ``answer`` is what probes are answered, except by the instances that are ``hanging``; ``history`` has all reports.
    """

    def __init__(self, folder: Path) -> None:
        self.log: list[str] = []
        self.events: list[Event] = []
        self.starting = False
        self.certificates = open_gate()
        self.envoys_ready = open_gate()
        self.reports = open_gate()
        self.acknowledgements = open_gate()
        self.drain_time = 0.0
        self.listeners: frozenset[str] = frozenset()
        self.netns = ""
        self.node_proxy_told = ""
        self.answer = Answer(True)
        self.hanging: set[str] = set()
        self.places_refused: list[str] = []
        self.places_taken: list[str] = []
        self.envoys_refused: list[Exception] = []
        self.applications_refused: list[Exception] = []
        self.services: tuple[ServiceName, ...] = ()
        self.envoys: list[PlayedEnvoy] = []
        self.applications: list[PlayedProcess] = []
        self.capture = PlayedCapture(self)
        self.files = FileSecrets(lambda: None)
        self.board = Board("node", self._take)
        self.history: list[dict[str, Instance]] = [{}]
        self.host = Host(
            settings=Settings(name="test", state_dir=folder),
            version="0",
            capture=self.capture,
            board=self.board,
            control=self,
            identities=self,
            records=Records(folder / "children"),
            emit=self.events.append,
            starting=lambda: self.starting,
            services=lambda: self.services,
            env={"PATH": "/bin"},
            backoff=Backoff(jitter=0.0),
            chance=random.Random(1),
        )
        self.node_proxy = NodeProxy(self.host, "host")

    def runner(self, workload: Workload, name: str, changed: Callable[[], None]) -> InstanceRunner:
        return InstanceRunner(self.host, workload, name, changed, ProcessRuntime(self.host, name), self.node_proxy)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def reported(self) -> dict[str, Instance]:
        """What the control plane was told last, by the names of instances."""
        return self.history[-1]

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @asynccontextmanager
    async def running(self, part: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
        """Runs something beside the board until the block ends, when it is cancelled."""
        async with asyncio.TaskGroup() as group:
            board = group.create_task(self.board.run())
            task = group.create_task(part)
            yield task
            task.cancel()
            board.cancel()

    async def hold(self, namespace: str, instance: str, service_account: str) -> None:
        await self.certificates.wait()
        self.log.append(f"certificate for {namespace}/{service_account}")

    async def envoy_ready(self) -> None:
        """Returns when an Envoy would be ready: with a certificate, and a control plane that knows it."""
        for gate in (self.certificates, self.reports, self.envoys_ready):
            await gate.wait()

    def release(self, namespace: str, instance: str) -> None:
        self.log.append("certificate is released")

    async def acknowledged(self, version: int, longest: float) -> bool:
        """As the control plane: answers when all have the version, or after the time given."""
        try:
            async with asyncio.timeout(longest):
                await self.acknowledgements.wait()
        except TimeoutError:
            self.log.append("not acknowledged")
            return False
        self.log.append("acknowledged")
        return True

    async def _take(self, report: Report) -> int:
        await self.reports.wait()
        for instance in report.instances:
            if instance != self.reported.get(instance.name):
                self.log.append(f"reported {instance.phase}" + (" and ready" if instance.ready else ""))
        self.history.append({instance.name: instance for instance in report.instances})
        self.node_proxy_told = report.node_proxy
        return len(self.history)

    async def start_envoy(
        self, sidecar: BootstrapView, place: Place, config: Path, output: Output, records: Records
    ) -> PlayedEnvoy:
        self.log.append("proxy starts")
        if self.envoys_refused:
            raise self.envoys_refused.pop(0)
        self.envoys.append(PlayedEnvoy(self, sidecar, 1000 + len(self.envoys)))
        return self.envoys[-1]

    async def start_application(self, command: Command, output: Output, records: Records) -> PlayedProcess:
        self.log.append("application starts")
        if self.applications_refused:
            raise self.applications_refused.pop(0)
        self.applications.append(PlayedProcess(self, command, 2000 + len(self.applications)))
        return self.applications[-1]

    async def ask(self, probe: Probe, around: Surroundings) -> Answer:
        return Answer(False, "no answer") if around.place.instance in self.hanging else self.answer


class PlayedCapture:
    mode = "explicit"
    host_address = "127.0.0.1"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._opened = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def open(self, namespace: str, instance: str, ports: Sequence[DeclaredPort]) -> Place:
        if self._stage.places_taken:
            raise TakenError(self._stage.places_taken.pop(0))
        if self._stage.places_refused:
            raise CaptureError(self._stage.places_refused.pop(0))
        self._stage.log.append("place is open")
        self._opened += 100
        given = (
            InstancePort(number=port.number, name=port.name, application=20000 + free, inbound=30000 + free)
            for free, port in enumerate(ports, start=self._opened)
        )
        netns = self._stage.netns
        return Place(namespace, instance, self.mode, "127.0.0.1", tuple(given), http_proxy=22000, netns=netns)

    async def close(self, place: Place) -> None:
        self._stage.log.append("place is closed")

    network = ""

    async def admit(self, networks: Collection[str]) -> None:
        return None

    def update(self, services: Sequence[ServiceName], egress: Sequence[EgressNames] = ()) -> None:
        return None

    def outbound(self, place: Place) -> tuple[OutboundPort, ...]:
        names = self._stage.services
        return tuple(OutboundPort(host=name.host, port=port, local=25000) for name in names for port in name.ports)


def played(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Makes a stage and has the node's code start its Envoys, applications and probes on it."""
    stage = Stage(folder)
    monkeypatch.setattr(envoy, "start", stage.start_envoy)
    monkeypatch.setattr(processes, "start", stage.start_application)
    monkeypatch.setattr(probes, "ask", stage.ask)
    return stage
