"""The commands that `mizzen run` brings into the mesh: a connection for each, and an instance for as long as it lasts.

What is said on a connection stands in ``run_messages.py``, how a command is an instance in ``attended.py``. A service
that a run offers outlasts it for some minutes, so that one which is started again by whoever watches over it is called
by the same name and address as before; unless a user dismisses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection, Iterator

import msgspec

from mizzen.node import specs
from mizzen.node.attended import Attendant, RunRuntime
from mizzen.node.host import Host, StartError
from mizzen.node.instances import InstanceRunner
from mizzen.node.node_proxy import NodeProxy
from mizzen.node.run_messages import LONGEST_LINE, Ended, FromRun, Gone, Leave, Link, Ready, Refused, Started, Wish
from mizzen.node.specs import SpecError, Workload
from mizzen.registry.found import service_labels, service_of_run
from mizzen.registry.reports import Desired, FoundService

# How long a service stays that no run offers any more, in seconds.
_LINGER = 300.0


class Runs:
    """Takes runs on the node's socket from :meth:`run` to :meth:`stop`."""

    def __init__(self, host: Host, node_proxy: NodeProxy) -> None:
        self._host = host
        self._node_proxy = node_proxy
        self._written: set[tuple[str, str]] = set()
        self._known = asyncio.Event()
        self._runs: list[_Run] = []
        # Those whose services are told, and of these the ones that have ended.
        self._offering: list[_Run] = []
        self._ended: list[_Run] = []
        # Those of connections that are no runs yet.
        self._idle: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def take(self, desired: Desired) -> None:
        """Takes which Workloads are written: their names are theirs; and which services of runs that have ended may go."""
        self._written = {(one.namespace, one.name) for one in desired.workloads}
        self._known.set()
        for run in self._ended:
            run.dismiss(desired.dismissed)
        if desired.dismissed:
            self._tell_offers()

    def refresh(self) -> None:
        """Has all reported anew, as the services that they may call have changed."""
        for run in self._runs:
            run.runner.refresh()

    def stop(self) -> None:
        """Ends all in good order; :meth:`run` returns when the last has ended."""
        self._stopping.set()
        for task in self._idle:
            task.cancel()
        for run in self._runs:
            run.runner.stop()
        for run in self._ended:
            run.over.set()

    def kill(self) -> None:
        """Ends all at once."""
        for run in self._runs:
            run.attendant.kill()

    async def run(self) -> None:
        """Runs until :meth:`stop`."""
        socket = self._host.settings.node_socket
        async with asyncio.TaskGroup() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._attend(Link(reader, writer, FromRun)), name="run")

            server = await asyncio.start_unix_server(accept, socket, limit=LONGEST_LINE)
            try:
                await self._stopping.wait()
            finally:
                server.close()
                socket.unlink(missing_ok=True)

    async def _attend(self, link: Link[FromRun]) -> None:
        with self._idling():
            run = await self._admit(link)
        if run is None:
            return
        with self._listed(run, self._offering):
            await self._keep(run)
            if not self._stopping.is_set():
                with self._listed(run, self._ended), contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER):
                        await run.over.wait()

    @contextlib.contextmanager
    def _idling(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task
        self._idle.add(task)
        try:
            yield
        finally:
            self._idle.discard(task)

    @contextlib.contextmanager
    def _listed(self, run: _Run, runs: list[_Run]) -> Iterator[None]:
        """Has a run among others while the context lasts, and the control plane told whose services there are."""
        runs.append(run)
        self._tell_offers()
        try:
            yield
        finally:
            runs.remove(run)
            self._tell_offers()

    def _tell_offers(self) -> None:
        self._host.board.offer(tuple(service for run in self._offering for service in run.offer))

    async def _admit(self, link: Link[FromRun]) -> _Run | None:
        """Returns the run that is wished for on a connection; or None, and then the connection is closed."""
        with contextlib.ExitStack() as undo:
            undo.callback(link.close)
            try:
                wish = None if self._stopping.is_set() else await link.receive()
                if not isinstance(wish, Wish):
                    return None
                await self._known.wait()
                run = self._made(link, wish)
            except msgspec.DecodeError as error:
                link.send(Refused(f"this mesh is of another version of Mizzen ({error}): restart the mesh"))
            except (SpecError, _RefusedError) as error:
                link.send(Refused(str(error)))
            else:
                undo.pop_all()
                return run
        return None

    def _made(self, link: Link[FromRun], wish: Wish) -> _Run:
        workload = specs.read(wish.workload)
        if workload.key in self._written:
            raise _RefusedError(
                f"there is a Workload {workload.name} in namespace {workload.namespace}: choose another name with"
                " --workload-name"
            )
        name = self._free_name(workload, wish.again.place.instance if wish.again else "")
        labels = {**workload.labels, **service_labels(wish.services)}
        workload = dataclasses.replace(workload, labels=labels, proxy=None)
        attendant = Attendant(link, wish)
        # What cannot begin is refused; what has begun is kept up.
        host = dataclasses.replace(self._host, starting=lambda: not attendant.going)
        run = _Run(attendant, _offer(workload, wish))
        runtime = RunRuntime(host, name, attendant)
        run.runner = InstanceRunner(host, workload, name, run.tell, runtime, self._node_proxy)
        return run

    def _free_name(self, workload: Workload, before: str) -> str:
        """Returns a name that no replica of a Workload can have, as those end in a dash and a number."""
        taken = {one.name for one in self._host.board.instances if one.namespace == workload.namespace}
        taken |= {one.runner.name for one in self._runs if one.runner.workload.namespace == workload.namespace}
        names = (f"{workload.name}-r{number}" for number in range(len(taken) + 1))
        return before if before and before not in taken else next(name for name in names if name not in taken)

    async def _keep(self, run: _Run) -> None:
        """Keeps an instance from its place to its end, and says at the end whether it ever was one."""
        refused = ""
        self._runs.append(run)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(run.listen())
                await run.runner.run()
                listening.cancel()
        except* StartError as group_of_errors:
            refused = _first(group_of_errors)
        finally:
            self._runs.remove(run)
            run.attendant.link.send(Refused(refused) if refused else Gone())
            run.attendant.link.close()


class _RefusedError(Exception):
    """A run that cannot be; the text is for the user."""


class _Run:
    """One run. ``offer`` is what services it stands behind; ``over`` is set when nobody needs those any more."""

    runner: InstanceRunner

    def __init__(self, attendant: Attendant, offer: tuple[FoundService, ...]) -> None:
        self.attendant = attendant
        self.offer = offer
        self.over = asyncio.Event()
        self._announced = False

    def dismiss(self, services: Collection[tuple[str, str]]) -> None:
        """Forgets services by namespace and name."""
        self.offer = tuple(one for one in self.offer if (one.namespace, one.name) not in services)
        if not self.offer:
            self.over.set()

    def tell(self) -> None:
        """Takes a change of the instance."""
        before, self._announced = self._announced, self.runner.announced
        if self._announced and not before:
            self.attendant.link.send(Ready())

    async def listen(self) -> None:
        """Does what `mizzen run` says, until the connection ends: then it has gone, and its command with it."""
        attendant = self.attendant
        while (message := await _received(attendant.link)) is not None:
            if isinstance(message, Started):
                attendant.has_started(message.pid)
            elif isinstance(message, Leave):
                self.runner.stop()
            elif isinstance(message, Ended):
                attendant.has_ended()
                self.runner.stop()
        attendant.kill()
        attendant.has_ended()
        self.runner.stop()


async def _received(link: Link[FromRun]) -> FromRun | None:
    try:
        return await link.receive()
    except msgspec.DecodeError:
        return None


def _offer(workload: Workload, wish: Wish) -> tuple[FoundService, ...]:
    ports = [(port.number, port.name) for port in workload.ports]
    account = workload.spec.service_account
    return tuple(service_of_run(name, workload.namespace, ports, account) for name in wish.services)


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
