"""What all Gateways of one gateway come to: for each socket the servers that share it, and those that cannot (Istio 2.18). Pure.

The oldest wins: a later server whose clients speak something else on the same port, or of which an earlier one has a TLS host,
is left out, and the cross-checks tell of it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mizzen.resources.gateway import GatewaySpec, Server, host_parts
from mizzen.resources.resource import Resource


class Opening(enum.StrEnum):
    """What a client says first on a socket: all servers that share it must agree on this."""

    HTTP = "http"
    TLS = "tls"
    BYTES = "tcp"


class Socket(NamedTuple):
    """Where a gateway listens: ``bind`` is "" for the address of its Workload."""

    bind: str
    number: int


@dataclass(frozen=True)
class BoundServer:
    """A server, by its Gateway and its place there."""

    gateway: Resource[GatewaySpec]
    index: int

    @property
    def spec(self) -> Server:
        return self.gateway.spec.servers[self.index]

    @property
    def socket(self) -> Socket:
        return Socket(self.spec.bind, self.spec.number)

    @property
    def opening(self) -> Opening:
        protocol = self.spec.protocol
        if protocol.is_http:
            return Opening.HTTP
        return Opening.TLS if protocol.is_tls else Opening.BYTES

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """The hosts, each with the namespace of its VirtualServices: that of the Gateway where it says so (``.``)."""
        parts = (host_parts(host) for host in self.spec.hosts)
        return tuple((self.gateway.namespace if namespace == "." else namespace, name) for namespace, name in parts)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for _, name in self.hosts)


class Conflict(NamedTuple):
    """A server that is left out, because of an earlier one."""

    server: BoundServer
    earlier: BoundServer
    why: str


def selecting(gateways: Iterable[Resource[GatewaySpec]], labels: Mapping[str, str]) -> list[Resource[GatewaySpec]]:
    """Returns the Gateways that choose a gateway with these labels, in whatever namespace it is; the oldest first."""
    chosen = (one for one in gateways if one.spec.selector.items() <= labels.items())
    return sorted(chosen, key=lambda one: one.age)


def merged(gateways: Iterable[Resource[GatewaySpec]]) -> tuple[dict[Socket, list[BoundServer]], list[Conflict]]:
    """Returns the servers of each socket, and those that have no place there; ``gateways`` come by age."""
    served: dict[Socket, list[BoundServer]] = {}
    conflicts = []
    for server in _servers(gateways):
        others = served.setdefault(server.socket, [])
        if found := next(_conflicts(server, others), None):
            conflicts.append(found)
        else:
            others.append(server)
    return served, conflicts


def _servers(gateways: Iterable[Resource[GatewaySpec]]) -> Iterator[BoundServer]:
    for gateway in gateways:
        for index in range(len(gateway.spec.servers)):
            yield BoundServer(gateway, index)


def _conflicts(server: BoundServer, others: Iterable[BoundServer]) -> Iterator[Conflict]:
    for other in others:
        if other.opening is not server.opening:
            yield Conflict(server, other, f"speaks {other.spec.protocol} there, and this {server.spec.protocol}")
        elif server.opening is Opening.BYTES:
            yield Conflict(server, other, "takes all its connections")
        elif server.opening is Opening.TLS and (both := sorted(other.names & server.names)):
            yield Conflict(server, other, f"has the TLS host {both[0]} already")
