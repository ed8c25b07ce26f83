"""Transparent capture as the node sees it: a place in a network namespace for each instance.

Implements :class:`mizzen.node.capturing.Capture`. The blocking work (rtnetlink, nft, entering namespaces) is done in
threads by ``host.py`` and ``namespaces.py``; this module decides when, and owns what is open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from mizzen.node.capture import answers, host, rules
from mizzen.node.capture.addresses import AddressesExhaustedError, AddressPool
from mizzen.node.capture.blocking import ended, finished
from mizzen.node.capture.entering import namespace_path, socket_in
from mizzen.node.capture.nameserver import Names, NameServers
from mizzen.node.capture.namespaces import Namespace, close_namespace, open_namespace
from mizzen.node.capture.places import captured_ports, check_ports
from mizzen.node.capture.upstream import Resolvers, Upstream
from mizzen.node.capturing import CaptureError, DeclaredPort, Place
from mizzen.registry.reports import EgressNames, OutboundPort, ServiceName
from mizzen.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Open:
    place: Place
    namespace: Namespace
    server: NameServers
    resolv_conf: Path


class TransparentCapture:
    """Network namespaces, nftables and DNS for the instances of one mesh; Linux, root (see ``available.py``)."""

    def __init__(self, settings: Settings, resolvers: Resolvers | None = None) -> None:
        self._identifier = host.identify(settings)
        self._folder = settings.state_dir / "resolv"
        self._resolvers = resolvers or Resolvers()
        self._upstream = Upstream(self._resolvers.servers)
        self._names = Names()
        self._open: dict[str, _Open] = {}
        self._tasks = asyncio.TaskGroup()
        self._network: host.HostNetwork | None = None
        self._pool: AddressPool | None = None
        self._admitted: set[str] = set()

    @property
    def mode(self) -> str:
        return "transparent"

    async def __aenter__(self) -> Self:
        avoid = self._resolvers.configuration().addresses
        try:
            network = await finished(lambda: host.set_up(self._identifier, avoid), host.tear_down)
        except OSError as error:
            raise CaptureError(f"transparent capture cannot be set up: {error}; use --capture explicit") from error
        self._network, self._pool = network, AddressPool(network.subnet)
        await self._tasks.__aenter__()
        log.info("transparent capture is set up", bridge=self._identifier.bridge, subnet=str(network.subnet))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with contextlib.AsyncExitStack() as steps:
            # Called last to first, each even if one before it failed.
            steps.push_async_callback(self._tear_down)
            steps.push_async_callback(ended, self._tasks, kind, error, trace)
            for entry in self._open.values():
                steps.push_async_callback(self.close, entry.place)

    async def _tear_down(self) -> None:
        network, self._network = self._network, None
        if network is not None:
            await finished(lambda: host.tear_down(network))

    async def open(self, namespace: str, instance: str, ports: Sequence[DeclaredPort]) -> Place:
        """Makes a namespace with an address and its DNS server, in 20 ms; raises :class:`CaptureError`."""
        network, pool = self._running()
        check_ports(instance, ports)
        address = _take(pool)
        try:
            made = await finished(lambda: open_namespace(self._identifier.bridge, network.subnet, address), _discard)
            try:
                entry = await self._furnish(namespace, instance, ports, made)
            except BaseException:
                await finished(lambda: _discard(made))
                raise
        except OSError as error:
            pool.give_back(address)
            raise CaptureError(f"no network namespace can be made for {instance}: {error}") from error
        except BaseException:
            pool.give_back(address)
            raise
        self._open[entry.place.address] = entry
        return entry.place

    async def close(self, place: Place) -> None:
        """Removes the namespace; waits until its links are gone."""
        entry = self._open.pop(place.address, None)
        if entry is None:
            return
        try:
            await entry.server.stop()
            entry.resolv_conf.unlink(missing_ok=True)
        finally:
            await finished(lambda: close_namespace(entry.namespace))
            self._running()[1].give_back(entry.namespace.address)

    @property
    def host_address(self) -> str:
        return str(self._running()[1].gateway)

    @property
    def network(self) -> str:
        return str(self._running()[0].subnet)

    async def admit(self, networks: Collection[str]) -> None:
        network, _ = self._running()
        if new := set(networks) - self._admitted:
            self._admitted |= new
            try:
                await finished(lambda: host.admit(network, new))
            except OSError as error:
                self._admitted -= new
                raise CaptureError(f"containers of {', '.join(sorted(new))} cannot call processes: {error}") from error

    def update(self, services: Sequence[ServiceName], egress: Sequence[EgressNames] = ()) -> None:
        self._names.table = answers.name_table(services, egress)

    def outbound(self, place: Place) -> tuple[OutboundPort, ...]:  # noqa: ARG002 - names lead to services here
        return ()

    def _running(self) -> tuple[host.HostNetwork, AddressPool]:
        if self._network is None or self._pool is None:
            raise RuntimeError("transparent capture is used before it was entered or after it was left")
        return self._network, self._pool

    async def _furnish(self, namespace: str, instance: str, ports: Sequence[DeclaredPort], made: Namespace) -> _Open:
        file = self._folder / f"{instance}.{namespace}.conf"
        server = NameServers(answers.Asker(namespace, instance), self._names, self._upstream, self._tasks)
        try:
            self._write_resolv_conf(file, namespace)
            await server.start(made.sockets)
        except BaseException:
            file.unlink(missing_ok=True)
            await server.stop()
            raise
        place = Place(
            namespace=namespace,
            instance=instance,
            capture=self.mode,
            address=str(made.address),
            ports=captured_ports(ports),
            netns=namespace_path(made.descriptor),
            resolv_conf=str(file),
            envoy_gid=rules.ENVOY_GROUP,
            new_socket=lambda: socket_in(made.descriptor),
        )
        return _Open(place, made, server, file)

    def _write_resolv_conf(self, file: Path, namespace: str) -> None:
        gateway = self._running()[1].gateway
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(answers.resolv_conf(namespace, gateway, self._resolvers.configuration().searched))
        file.chmod(0o644)


async def clean_up(settings: Settings) -> bool:
    """Removes what a crashed run of this mesh left on the host; False, and nothing done, if it is running.

    The next start does the same. Raises OSError; needs the privileges of ``available.py``.
    """
    identifier = host.identify(settings)
    return await finished(lambda: host.clean_up(identifier))


def _take(pool: AddressPool) -> IPv4Address:
    try:
        return pool.take()
    except AddressesExhaustedError as error:
        raise CaptureError(f"no address is left for another instance: {error}") from error


def _discard(made: Namespace) -> None:
    for opened in made.sockets:
        opened.close()
    close_namespace(made)
