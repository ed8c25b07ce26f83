"""The composition root of a node: all its parts, in order, in one TaskGroup, and their end in order.

    lock → leftovers → capture → control plane · SDS · reports → workloads → (a signal) → workloads → the rest

`mizzen up` calls :func:`run` in its own process, or starts ``python -m mizzen.node`` for a detached mesh.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import structlog

from mizzen import __version__
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.announcing import Board
from mizzen.node.capture.available import choose_capture
from mizzen.node.capturing import Capture, CaptureError
from mizzen.node.composing import Compose
from mizzen.node.containers import Containers
from mizzen.node.control_client import ControlClient, RefusedError
from mizzen.node.control_process import ControlKeeper
from mizzen.node.edits import edits
from mizzen.node.events import (
    CertificateRefused,
    Event,
    MeshReady,
    MeshStarting,
    ResourceProblem,
    ResourceProblemsSolved,
    Stopped,
    Stopping,
)
from mizzen.node.explicit import ExplicitCapture
from mizzen.node.gateways import GatewayRuntime
from mizzen.node.host import Host, StartError
from mizzen.node.instances import InstanceRunner
from mizzen.node.leftovers import Records
from mizzen.node.locking import described, state_directory
from mizzen.node.node_proxy import NodeProxy
from mizzen.node.notifying import telling_systemd
from mizzen.node.runs import Runs
from mizzen.node.runtimes import ProcessRuntime, Runtime
from mizzen.node.sds import Certificates
from mizzen.node.secret_events import SecretUnusable
from mizzen.node.specs import Workload
from mizzen.node.system_roots import system_roots
from mizzen.node.workloads import Workloads
from mizzen.registry.reports import Desired, EgressNames, IssuedCertificate, ServiceName, WrittenResource
from mizzen.settings import Settings
from mizzen.xds import SECRETS, Discovery, serve

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(
    settings: Settings, on_event: Callable[[Event], None], *, control_command: Sequence[str] = (), supervisor: int = 0
) -> None:
    """Runs a mesh on this machine until SIGINT, SIGTERM or SIGHUP; a second signal ends it without waiting for anyone.

    Must run in the main thread. ``on_event`` is called within the event loop. Raises :class:`StartError`, with
    nothing left running, if the mesh cannot start. ``control_command`` stands in for the control plane in tests.
    ``supervisor`` is the process that starts this one again if it is killed, if there is one (``supervise.py``).
    """
    on_event = telling_systemd(on_event)
    with state_directory(settings):
        records = Records(settings.children_dir)
        if killed := records.kill_leftovers():
            log.warning("killed what a crashed earlier run had left", processes=killed)
        capture, note = _choose_capture(settings)
        settings = dataclasses.replace(settings, capture=capture.mode)  # the control plane tells how it is
        with described(settings, capture=capture.mode, version=__version__, supervisor=supervisor):
            agent = _Agent(settings, on_event, capture, records, control_command)
            try:
                with _first_start_error():
                    await agent.run(MeshStarting(settings.name, capture.mode, note))
            finally:
                on_event(Stopped())


class _Agent:
    def __init__(
        self,
        settings: Settings,
        emit: Callable[[Event], None],
        capture: Capture,
        records: Records,
        control_command: Sequence[str],
    ) -> None:
        self._emit = emit
        self._capture = capture
        self._began = asyncio.get_running_loop().time()
        self._services: tuple[ServiceName, ...] = ()
        self._egress: tuple[EgressNames, ...] = ()
        self._problems: tuple[str, ...] = ()
        self._written: tuple[WrittenResource, ...] | None = None
        self._settings = settings
        self._records = records
        self._client = ControlClient(settings.api_socket)
        self._board = Board(socket.gethostname(), self._client.report)
        self._certificates = Certificates(
            self._issue,
            settings.trust_domain,
            system_roots(),
            lambda problem, whose: emit(SecretUnusable.of(problem, whose)),
        )
        self._refusals: dict[SpiffeId, str] = {}
        self._control = ControlKeeper(settings, records, emit, self._client.up, control_command)
        self._workloads = Workloads(self._make_runner, emit)
        self._host = Host(
            settings=settings,
            version=__version__,
            capture=capture,
            board=self._board,
            control=self._client,
            identities=self._certificates,
            records=records,
            emit=emit,
            starting=self._is_starting,
            services=lambda: self._services,
            env=dict(os.environ),
        )
        self._node_proxy = NodeProxy(self._host, socket.gethostname())
        # A container that cannot be attached must not keep the mesh from starting: it is tried again, and told of.
        self._containers = Containers(dataclasses.replace(self._host, starting=lambda: False), self._make_member)
        self._compose = Compose(self._host, self._client, self._containers)
        self._runs = Runs(self._host, self._node_proxy)

    async def run(self, beginning: MeshStarting) -> None:
        """Runs until a signal; tells of its ``beginning`` as soon as it listens to signals."""
        with _signals(self._stop, self._kill, asyncio.current_task()):
            self._emit(beginning)
            async with self._capture, self._client, self._compose, asyncio.TaskGroup() as group:
                discovery = Discovery(self._certificates, services=[SECRETS])
                async with serve(self._settings.sds_socket, discovery):
                    parts = (
                        self._certificates.run,
                        self._board.run,
                        self._control.keep,
                        self._node_proxy.run,
                        self._follow,
                        self._tell_ready,
                    )
                    tasks = [group.create_task(part()) for part in parts]
                    others = [group.create_task(part.run()) for part in (self._containers, self._runs, self._compose)]
                    await self._workloads.run()
                    await asyncio.wait(others)
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)

    def _is_starting(self) -> bool:
        return not self._workloads.settled.is_set()

    def _make_runner(self, workload: Workload, name: str, changed: Callable[[], None]) -> InstanceRunner:
        runtime = (GatewayRuntime if workload.spec.gateway else ProcessRuntime)(self._host, name)
        return InstanceRunner(self._host, workload, name, changed, runtime, self._node_proxy)

    def _make_member(
        self, host: Host, workload: Workload, name: str, changed: Callable[[], None], runtime: Runtime
    ) -> InstanceRunner:
        return InstanceRunner(host, workload, name, changed, runtime, self._node_proxy)

    async def _issue(self, csr: str, identity: SpiffeId) -> IssuedCertificate:
        """Has a certificate signed; a refusal is told once, however often it is repeated. Raises IssueError."""
        try:
            issued = await self._client.issue(csr, identity)
        except RefusedError as error:
            if self._refusals.get(identity) != str(error):
                self._refusals[identity] = str(error)
                self._emit(CertificateRefused(str(identity), str(error)))
            raise
        self._refusals.pop(identity, None)
        return issued

    async def _follow(self) -> None:
        """Follows what should run, and reports again to each control plane that comes up."""
        await self._control.told.wait()
        async for desired in self._client.desired():
            if desired is None:
                self._board.resend()
            else:
                self._take(desired)

    def _take(self, desired: Desired) -> None:
        others = desired.services != self._services
        if others or desired.egress != self._egress:
            self._services, self._egress = desired.services, desired.egress
            self._capture.update(desired.services, desired.egress)
        self._certificates.files.take(
            {(group.namespace, name): group.secrets for group in desired.secrets for name in group.instances}
        )
        if problem := self._host.starts.take(desired.starts, desired.root_namespace):
            self._emit(ResourceProblem(problem))
        if others:
            self._workloads.refresh()
            self._runs.refresh()
        self._workloads.take(desired.workloads)
        self._containers.take(desired)
        self._runs.take(desired)
        self._tell_problems(desired.problems)
        for event in edits(self._written, desired.written):
            self._emit(event)
        self._written = desired.written

    def _tell_problems(self, problems: tuple[str, ...]) -> None:
        """Tells each problem when it appears, and when the last is gone."""
        for problem in problems:
            if problem not in self._problems:
                self._emit(ResourceProblem(problem))
        if self._problems and not problems:
            self._emit(ResourceProblemsSolved())
        self._problems = problems

    async def _tell_ready(self) -> None:
        await self._workloads.settled.wait()
        if self._settings.containers:
            await self._containers.settled.wait()
            # Whoever reads that the mesh is ready may ask at once which containers are in it.
            await self._board.delivered()
        await self._compose.settled.wait()
        self._emit(
            MeshReady(self._workloads.count + self._containers.count, asyncio.get_running_loop().time() - self._began)
        )

    def _stop(self, reason: str) -> None:
        self._emit(Stopping(reason))
        self._workloads.stop()
        self._compose.stop()
        self._containers.stop()
        self._runs.stop()

    def _kill(self) -> None:
        """Ends all processes at once: somebody has asked twice."""
        self._records.kill_all()
        self._runs.kill()


def _choose_capture(settings: Settings) -> tuple[Capture, str]:
    """Returns the capture for the settings, and why it is not transparent where that was left open."""
    try:
        mode, note = choose_capture(settings.capture)
    except (CaptureError, ValueError) as error:
        raise StartError(str(error)) from error
    if mode == "explicit":
        if settings.proxy == "node":
            raise StartError(f"--proxy node needs transparent capture: {note or 'use --capture transparent'}")
        return ExplicitCapture(), note
    from mizzen.node.capture.transparent import TransparentCapture  # needs the packages of the extra "capture"

    return TransparentCapture(settings), note


@contextlib.contextmanager
def _signals(stop: Callable[[str], None], kill: Callable[[], None], task: asyncio.Task[None] | None) -> Iterator[None]:
    """Calls ``stop`` at the first signal, and at the second cancels ``task`` and calls ``kill``."""
    assert task
    loop = asyncio.get_running_loop()
    received: list[str] = []

    def handle(number: signal.Signals) -> None:
        received.append(number.name)
        if len(received) == 1:
            stop(number.name)
        else:
            task.cancel()
            kill()

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _first_start_error() -> Iterator[None]:
    """Raises the first :class:`StartError` out of nested exception groups, as that is what the user needs to read."""
    try:
        yield
    except CaptureError as error:
        raise StartError(str(error)) from error
    except BaseExceptionGroup as group:
        found: BaseException | None = group.subgroup((StartError, CaptureError))
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if found is None:
            raise
        raise StartError(str(found)) from group
