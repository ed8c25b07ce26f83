"""What each resource of a proxy is to who writes an EnvoyFilter: its context, its names and its port, as Istio has them.

A match means in every kind of proxy the same, whatever port Mizzen binds: an outbound listener has the service's port, an
inbound one the workload's, a gateway's that of its Gateway. Where the layout is Istio's the names are Istio's already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mizzen.compile import names
from mizzen.compile.listeners import ANY_ADDRESS
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Instance

INBOUND = "SIDECAR_INBOUND"
OUTBOUND = "SIDECAR_OUTBOUND"
GATEWAY = "GATEWAY"
_INSIDE = "inside_"


@dataclass(frozen=True)
class ListenerPlace:
    """A listener; ``port`` is its own.

    Of a ``virtual`` one the filter chains have ports: that of the connection's destination, or ``chain_port``. Where it is
    ``several`` each chain is what is a listener of its own elsewhere.
    """

    context: str
    names: frozenset[str]
    port: int
    virtual: bool = False
    chain_port: int = 0
    several: bool = False


@dataclass(frozen=True)
class RoutesPlace:
    """A route configuration. Where it is for ``all_ports`` each virtual host has its port in its name."""

    context: str
    names: frozenset[str]
    port: int = 0
    port_name: str = ""
    gateway: str = ""
    all_ports: bool = False


@dataclass(frozen=True)
class ClusterPlace:
    context: str
    name: str
    port: int = 0
    subset: str = ""
    host: str = ""


@dataclass(frozen=True)
class Subject:
    """An instance in its proxy; ``is_gateway`` says what kind of proxy that is."""

    instance: Instance
    is_gateway: bool = False
    seat: Seat = ALONE

    @property
    def outward(self) -> str:
        """The context of what leads away from the proxy."""
        return GATEWAY if self.is_gateway else OUTBOUND

    def _own(self, name: str) -> str:
        return name.removeprefix(self.seat.prefix)

    def listener(self, name: str) -> ListenerPlace | None:
        """Returns the place of a listener, None for one that Istio's users have no idea of."""
        own = self._own(name)
        if own.startswith(names.HIDDEN):
            return None
        if self.is_gateway:
            return self._gateway_listener(own)
        if own == names.VIRTUAL_INBOUND:
            return _virtual_inbound(own)
        if own == names.VIRTUAL_OUTBOUND:
            port = names.OUTBOUND_CAPTURE_PORT
            return ListenerPlace(OUTBOUND, frozenset({own}), port, virtual=True, several=self.seat.shared)
        return self._inbound.get(own) or self._outbound(own)

    @cached_property
    def _inbound(self) -> Mapping[str, ListenerPlace]:
        """The places of what leads to one port of the workload, by the name of the listener."""
        found: dict[str, ListenerPlace] = {}
        for port in self.instance.inbound:
            for own in (f"{_INSIDE}{port.listen}", names.listener(self.instance.address, port.listen)):
                found[own] = _virtual_inbound(own, port.number)
        for port in self.instance.inbound:
            if port.bind:  # a listener of its own in Istio as well
                own = names.listener(port.bind, port.number)
                place = ListenerPlace(INBOUND, frozenset({own}), port.number, chain_port=port.number)
                found.setdefault(own, place)
        return found

    def _outbound(self, own: str) -> ListenerPlace:
        address, _, port = own.rpartition("_")
        if self.instance.http_proxy and own == names.listener(self.instance.address, self.instance.http_proxy):
            return ListenerPlace(OUTBOUND, frozenset({own}), int(port))
        for one in self.instance.outbound:
            if own == names.listener(self.instance.address, one.local):
                shared = {names.listener(ANY_ADDRESS, one.port), names.listener(one.host, one.port)}
                return ListenerPlace(OUTBOUND, frozenset({own, *shared}), one.port)
        return ListenerPlace(OUTBOUND, frozenset({own}), int(port) if address and port.isdecimal() else 0)

    def _gateway_listener(self, own: str) -> ListenerPlace:
        for socket in self.instance.sockets:
            if own == names.listener(socket.bind or self.instance.address, socket.local):
                alias = names.listener(socket.bind or ANY_ADDRESS, socket.number)
                return ListenerPlace(GATEWAY, frozenset({own, alias}), socket.number)
        return ListenerPlace(GATEWAY, frozenset({own}), 0)

    def routes(self, name: str) -> RoutesPlace:
        own = self._own(name)
        if self.is_gateway:
            return _gateway_routes(own)
        if own == names.HTTP_PROXY:
            return RoutesPlace(OUTBOUND, frozenset({own}), all_ports=True)
        port = own.rpartition(":")[2]
        return RoutesPlace(OUTBOUND, frozenset({own, port}), int(port) if port.isdecimal() else 0)

    def cluster(self, name: str) -> ClusterPlace | None:
        """Returns the place of a cluster, None for one that Istio's users have no idea of, or that is not this seat's."""
        if not name.startswith(self.seat.prefix):
            return None
        own = self._own(name)
        if own.startswith(names.HIDDEN):
            return None
        direction, *rest = own.split("|")
        if len(rest) != 3:
            return ClusterPlace(self.outward, own)
        port, subset, host = rest
        inward = direction == "inbound"
        if inward:
            host = next((one.host for one in self.instance.inbound if one.number == int(port)), "")
        return ClusterPlace(INBOUND if inward else self.outward, own, int(port), subset, host)


def inbound_routes(own: str) -> RoutesPlace:
    """Returns the place of the routes that stand in an inbound listener; they have the name of the cluster behind it."""
    _, _, rest = own.partition("|")
    port = rest.partition("|")[0]
    return RoutesPlace(INBOUND, frozenset({own}), int(port) if port.isdecimal() else 0)


def _virtual_inbound(own: str, chain_port: int = 0) -> ListenerPlace:
    known = frozenset({own, names.VIRTUAL_INBOUND})
    return ListenerPlace(INBOUND, known, names.INBOUND_CAPTURE_PORT, virtual=True, chain_port=chain_port)


def _gateway_routes(own: str) -> RoutesPlace:
    """Reads the names of :func:`names.gateway_route` and :func:`names.gateway_server_route`."""
    scheme, _, rest = own.partition(".")
    port, _, rest = rest.partition(".")
    number = int(port) if port.isdecimal() else 0
    if scheme != "https":
        return RoutesPlace(GATEWAY, frozenset({own}), number)
    port_name, _, rest = rest.partition(".")
    name, _, namespace = rest.rpartition(".")
    return RoutesPlace(GATEWAY, frozenset({own}), number, port_name, f"{namespace}/{name}")
