"""The node proxy: one Envoy for all instances of this host that have no sidecar, and the seats that they have in it.

It runs outside every network namespace and opens its listeners, and the sockets of its calls, inside those of its
instances (see :mod:`mizzen.compile.seats`). It is started when the first instance asks for a seat.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from mizzen.compile import names
from mizzen.latest import Latest
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.node.bootstrap import BootstrapView
from mizzen.node.capturing import Place
from mizzen.node.envoy import Envoy
from mizzen.node.envoys import EnvoyKeeper
from mizzen.node.host import Host
from mizzen.registry.proxy_settings import SYSTEM_NAMESPACE
from mizzen.registry.reports import InstancePort

# As for any other Envoy: by its group it is told from what it captures.
ENVOY_GROUP = 1337
# How often Envoy is asked for its listeners while somebody waits for one, in seconds; it offers no event for it.
_LISTENERS_INTERVAL = 0.015


class NodeProxy:
    """``name`` is the host's. ``serving`` is its Envoy while that is ready; ``listeners`` are the names of those that
    take connections, looked up only while somebody waits for some.
    """

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        place = Place(SYSTEM_NAMESPACE, name, "transparent", "127.0.0.1", envoy_gid=ENVOY_GROUP)
        self._keeper = EnvoyKeeper(
            host, _bootstrap(host, name), place, self._update, lambda: host.starts.of(SYSTEM_NAMESPACE, name, "", {})
        )
        self._needed = asyncio.Event()
        self._waiting = 0
        self._asked = asyncio.Event()
        self.serving: Latest[Envoy | None] = Latest(None)
        self.listeners: Latest[frozenset[str]] = Latest(frozenset())

    @property
    def keeper(self) -> EnvoyKeeper:
        return self._keeper

    def need(self) -> None:
        """Has it started, and told to the control plane, which would not give it a configuration otherwise."""
        self._host.board.tell(node_proxy=self._keeper.id)
        self._needed.set()

    async def run(self) -> None:
        """Keeps it, from the first need until this is cancelled."""
        await self._needed.wait()
        await self.reported()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.keep())
            group.create_task(self._follow_listeners())

    async def reported(self) -> None:
        """Returns when the control plane knows of all seats that there are."""
        await self._host.board.delivered()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Has the names of the listeners looked up while the context lasts."""
        if not self._waiting:  # what was found when somebody last waited is of no use now
            self.listeners.set(frozenset())
        self._waiting += 1
        self._asked.set()
        try:
            yield
        finally:
            self._waiting -= 1

    def _update(self) -> None:
        if self._keeper.serving is not self.serving.get():
            self.listeners.set(frozenset())
            self.serving.set(self._keeper.serving)
        self._host.board.tell(node_proxy_started_with=self._keeper.started_with)

    async def _follow_listeners(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:
                running = await self.serving.until(lambda envoy: envoy is not None)
                assert running
                found = await running.listeners()
                # It may have ended meanwhile: what it said is of no use then.
                if running is self.serving.get() and found != self.listeners.get():
                    self.listeners.set(found)
                await asyncio.sleep(_LISTENERS_INTERVAL)


class SeatKeeper:
    """An :class:`mizzen.node.envoys.InstanceProxy`: the seat of one instance in the node's proxy."""

    def __init__(self, proxy: NodeProxy, place: Place, changed: Callable[[], None]) -> None:
        self._proxy = proxy
        self._prefix = names.seat_prefix(f"{place.instance}.{place.namespace}")
        self._wanted = _listener_names(self._prefix, place.ports)
        self._changed = changed
        self.ready = False
        self.waiting = False
        self.was_ready = asyncio.Event()
        self.message = ""
        self.admin_socket = proxy.keeper.admin_socket
        proxy.need()

    @property
    def id(self) -> str:
        return self._proxy.keeper.id

    @property
    def pid(self) -> int:
        return self._proxy.keeper.pid

    @property
    def restarts(self) -> int:
        return self._proxy.keeper.restarts

    @property
    def started_with(self) -> None:
        return None  # The Envoy is not its own.

    async def keep(self) -> None:
        """Says whether the seat is ready: its listeners take connections, which they do once they have a certificate."""
        try:
            # Until then it has at most the listeners of one that had this name before.
            await self._proxy.reported()
            while True:
                running = await self._seated()
                self.ready, self.waiting, self.message = True, False, ""
                self.was_ready.set()
                self._changed()
                await self._gone(running)
                self.ready, self.waiting = False, True
                self.message = self._proxy.keeper.message or "the node proxy has ended"
                self._changed()
        finally:
            self.ready = False

    async def _seated(self) -> Envoy:
        """Returns the Envoy in which the seat's listeners are."""
        async with self._proxy.watching():
            await self._proxy.listeners.until(lambda found: found >= self._wanted)
        running = self._proxy.serving.get()
        assert running, "an Envoy that has ended has no listeners"
        return running

    async def _gone(self, running: Envoy) -> None:
        await self._proxy.serving.until(lambda envoy: envoy is not running)

    async def drain(self, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        """See :meth:`mizzen.node.envoy.Envoy.drain_seat`."""
        if running := self._proxy.serving.get():
            await running.drain_seat(self._prefix, longest, outbound=outbound, idle=idle)

    def kill(self) -> None:
        """The proxy goes on for the others."""


def _listener_names(prefix: str, ports: Sequence[InstancePort]) -> frozenset[str]:
    inbound = [names.VIRTUAL_INBOUND] if ports else []
    return frozenset(f"{prefix}{name}" for name in [names.VIRTUAL_OUTBOUND, *inbound])


def _bootstrap(host: Host, name: str) -> BootstrapView:
    settings = host.settings
    return BootstrapView(
        instance=name,
        namespace=SYSTEM_NAMESPACE,
        workload=name,
        service_account="",
        address="127.0.0.1",
        capture="transparent",
        version=host.version,
        trust_domain=settings.trust_domain,
        mesh=settings.name,
        admin_socket=settings.admin_socket(SYSTEM_NAMESPACE, name),
        xds_socket=settings.xds_socket,
        sds_socket=settings.sds_socket,
        locality=host.locality({}),
        kind=ProxyKind.NODE,
    )
