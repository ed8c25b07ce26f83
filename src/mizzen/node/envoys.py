"""Keeps one Envoy running: starts it, says when it is ready, starts it again when it ends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.node import envoy
from mizzen.node.bootstrap import BootstrapView
from mizzen.node.capturing import Place
from mizzen.node.envoy import Envoy, EnvoyFailedError, EnvoyMissingError
from mizzen.node.events import ProxyCrashed, ProxyReady
from mizzen.node.host import Host, StartError
from mizzen.node.output import Output
from mizzen.node.specs import Workload
from mizzen.registry.proxy_settings import Start


class InstanceProxy(Protocol):
    """The proxy of one instance, as the instance sees it: an Envoy of its own, or a seat in the node's.

    ``waiting`` is True between a crash and the next start; ``message`` says what was wrong last; ``was_ready`` is set
    when it is ready for the first time. ``id`` is the proxy's to the control plane. ``started_with`` is what an Envoy of its own
    was started with (see :class:`mizzen.registry.proxy_settings.Start`), None while none runs.
    """

    ready: bool
    waiting: bool
    message: str
    was_ready: asyncio.Event
    admin_socket: Path

    @property
    def id(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def restarts(self) -> int: ...

    @property
    def started_with(self) -> tuple[str, ...] | None: ...

    async def keep(self) -> None:
        """Keeps it until this is cancelled. Raises :class:`StartError` while the mesh starts."""
        ...

    async def drain(self, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        """Lets the requests of others that are in flight end, for at most ``longest`` seconds; with ``outbound`` the
        instance's own requests as well, with ``idle`` also connections without any.
        """
        ...

    def kill(self) -> None:
        """Ends it at once, and with it all its connections, if it serves nobody else; :meth:`keep` is cancelled then."""
        ...


class EnvoyKeeper:
    """An :class:`InstanceProxy` of its own. ``changed`` is called after each change of the attributes.

    ``start`` says how it is started, each time. One that does not become ready with what is new is started as it was before.
    """

    def __init__(
        self,
        host: Host,
        bootstrap: BootstrapView,
        place: Place,
        changed: Callable[[], None],
        start: Callable[[], Start] = Start,
    ) -> None:
        self._host = host
        self._bootstrap = bootstrap
        self._place = place
        self._changed = changed
        self._start = start
        self._good: Start | None = None
        self._refused: Start | None = None
        self._current = Start()
        self._envoy: Envoy | None = None
        self._killed = False
        self._output = Output(host.settings.log_file(place.namespace, place.instance, proxy=True))
        self.admin_socket = bootstrap.admin_socket
        self.ready = False
        self.waiting = False
        self.was_ready = asyncio.Event()
        self.message = ""
        self.restarts = 0

    @property
    def id(self) -> str:
        return f"{self._place.instance}.{self._place.namespace}"

    @property
    def pid(self) -> int:
        return self._envoy.pid if self._envoy else 0

    @property
    def started_with(self) -> tuple[str, ...] | None:
        return self._current.said_by if self._envoy else None

    @property
    def serving(self) -> Envoy | None:
        """The Envoy that runs, if it is ready."""
        return self._envoy if self.ready else None

    async def keep(self) -> None:
        """Keeps it until this is cancelled, and ends it then. Raises :class:`StartError` while the mesh starts."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self.message = await self._run()
            if self._killed:
                await asyncio.Event().wait()  # On purpose, so this is about to be cancelled.
            if self._host.starting() and not self.was_ready.is_set():
                raise StartError(f"the proxy of {self._place.instance} does not start: {self.message}")
            failures = self._host.backoff.failures(failures, loop.time() - began)
            delay = self._host.delay(failures)
            self.waiting = True
            self.restarts += 1
            self._host.emit(ProxyCrashed(self._place.namespace, self._place.instance, self.message, delay))
            self._changed()
            await asyncio.sleep(delay)
            self.waiting = False

    async def drain(self, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        """See :meth:`mizzen.node.envoy.Envoy.drain`."""
        if self._envoy and self.ready:
            # To a gateway its clients' requests are outbound ones.
            outbound = outbound or self._bootstrap.kind is ProxyKind.GATEWAY
            await self._envoy.drain(longest, outbound=outbound, idle=idle)

    def kill(self) -> None:
        self._killed = True
        if self._envoy:
            self._envoy.kill()

    async def _run(self) -> str:
        """Runs one Envoy from start to end; returns why it ended."""
        config = self.admin_socket.with_suffix(".json")
        self._current = start = self._next_start()
        bootstrap = dataclasses.replace(self._bootstrap, settings=start.settings)
        try:
            running = await envoy.start(bootstrap, self._place, config, self._output, self._host.records)
        except EnvoyMissingError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename}: {error.strerror}" if error.filename else str(error)
        self._envoy = running
        self._changed()
        try:
            await running.ready()
            self.ready = True
            self._good, self._refused = start, None
            self.message = ""
            self.was_ready.set()
            self._host.emit(ProxyReady(self._place.namespace, self._place.instance))
            self._changed()
            return f"Envoy ended: {await running.wait()}"
        except EnvoyFailedError as error:
            self._refused = start
            return str(error)
        finally:
            self.ready = False
            await running.stop()
            self._envoy = None
            for file in (config, self.admin_socket):
                file.unlink(missing_ok=True)

    def _next_start(self) -> Start:
        """Returns how it is started now: as is said, but for what it has just failed with and did not have before."""
        wanted = self._start()
        return self._good if self._good and wanted == self._refused else wanted


def sidecar(
    host: Host,
    workload: Workload,
    place: Place,
    uid: str,
    changed: Callable[[], None],
    kind: ProxyKind = ProxyKind.SIDECAR,
) -> EnvoyKeeper:
    """Makes the keeper of an instance's own Envoy, which runs in the instance's place; ``uid`` is the instance's."""
    settings = host.settings
    bootstrap = BootstrapView(
        instance=place.instance,
        namespace=place.namespace,
        uid=uid,
        workload=workload.name,
        service_account=workload.spec.service_account,
        address=place.address,
        capture=place.capture,
        version=host.version,
        trust_domain=settings.trust_domain,
        mesh=settings.name,
        admin_socket=settings.admin_socket(place.namespace, place.instance),
        xds_socket=settings.xds_socket,
        sds_socket=settings.sds_socket,
        labels=workload.labels,
        locality=host.locality(workload.labels),
        kind=kind,
    )

    def start() -> Start:
        if workload.proxy is not None:
            return Start(workload.proxy)
        return host.starts.of(workload.namespace, workload.name, workload.spec.service_account, workload.labels)

    return EnvoyKeeper(host, bootstrap, place, changed, start)
