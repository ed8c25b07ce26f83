"""Gateways: instances that are an Envoy and nothing else, on this host's own addresses (decision 11).

What an :class:`mizzen.node.instances.InstanceRunner` needs to run one: its place, the application that it does not have, its
proxy, and what is reported of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from mizzen.mesh.gateway_addresses import address_in_mesh, listened_at
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.node.capturing import Place
from mizzen.node.envoys import EnvoyKeeper, sidecar
from mizzen.node.gateway_events import GatewayListens
from mizzen.node.host import Host
from mizzen.node.specs import Workload
from mizzen.registry.gateway_urls import url
from mizzen.registry.reports import GatewaySocket

KIND = "gateway"
"""The kind of proxy that serves a gateway: its own."""


class GatewayRuntime:
    """See :class:`mizzen.node.runtimes.Runtime`."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name
        self._workload = ("", "")

    async def open(self, workload: Workload) -> Place:
        assert workload.spec.gateway
        self._workload = workload.key
        self._host.gateway_ports.enter(self._workload)
        return Place(workload.namespace, self._name, "explicit", workload.spec.gateway.address)

    async def close(self, place: Place) -> None:  # noqa: ARG002
        self._host.gateway_ports.leave(self._workload)

    def application(self, workload: Workload, place: Place, changed: Callable[[], None]) -> NoApplication:  # noqa: ARG002
        return NoApplication(changed)


class NoApplication:
    """Stands where an instance has its application; it is ready when its proxy is."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.captured = True
        self.bypassed = False
        self.ready = False
        self.waiting = False
        self.message = ""
        self.grace = 0.0
        self.pid = 0
        self.restarts = 0
        self.started = 0.0
        self.env: Mapping[str, str] = {}

    async def keep(self) -> None:
        self.ready, self.started = True, time.time()
        self._changed()
        try:
            await asyncio.Event().wait()
        finally:
            self.ready = False

    async def part(self) -> None:
        """It is gone with its proxy."""

    def adopt(self, workload: Workload) -> None:
        """Nothing of it changes."""


def proxy(host: Host, workload: Workload, place: Place, uid: str, changed: Callable[[], None]) -> EnvoyKeeper:
    """Makes the keeper of a gateway's Envoy."""
    return sidecar(host, workload, place, uid, changed, ProxyKind.GATEWAY)


class GatewayState:
    """What is reported of one gateway: its ports, which are given out here and told of."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name
        self._told: set[GatewaySocket] = set()

    def called_at(self, workload: Workload) -> str:
        """Returns the address at which members of the mesh call a gateway, whose own is for whoever is outside."""
        assert workload.spec.gateway
        return address_in_mesh(workload.spec.gateway.address, self._host.capture.host_address)

    def sockets(self, workload: Workload) -> tuple[GatewaySocket, ...]:
        """Returns the sockets that a gateway is to have, each with its port; one that cannot be had has none."""
        assert workload.spec.gateway
        address, inside = workload.spec.gateway.address, self.called_at(workload)
        found = []
        for wanted in workload.sockets:
            addresses = (wanted.bind,) if wanted.bind else listened_at(address, inside)
            local = self._host.gateway_ports.port(workload.key, addresses, wanted.number)
            socket = msgspec.structs.replace(wanted, local=local)
            if socket not in self._told:
                self._told.add(socket)
                self._host.emit(GatewayListens(workload.namespace, self._name, socket.number, url(socket, address)))
            found.append(socket)
        return tuple(found)
