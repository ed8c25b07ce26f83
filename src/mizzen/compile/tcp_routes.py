"""TCP routes: where the connections to a service's port go whose bytes nobody reads (TCPRoute, Istio 1.1).

In Envoy a TCP route is part of a listener, whose connections end when it changes. But the filter that has the route may come
by itself, as routes of HTTP do (ECDS): then a change is for the connections that are yet to come, and no other notices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from mizzen.compile import names
from mizzen.compile.clusters import policy_for
from mizzen.compile.destinations import cluster_of
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.routes import Source
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import DestinationRule, Host, VirtualService, labels_of, selects
from mizzen.mesh.scope import Scope, ScopedService
from mizzen.mesh.virtual_services import MESH_GATEWAY
from mizzen.resources.key import Key
from mizzen.resources.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

Share = tuple[str, int]
"""A cluster, and its weight."""


class TcpLimits(NamedTuple):
    """How long, in seconds, a connection may carry nothing, and live; None is Envoy's default (an hour, for ever)."""

    idle: float | None = None
    longest: float | None = None


_NO_LIMITS = TcpLimits()


@dataclass(frozen=True)
class TcpRouteView:
    """Everything that a TCP route depends on; ``called`` is the cluster of the service that clients call."""

    name: str
    called: str
    shares: tuple[Share, ...]
    limits: TcpLimits = _NO_LIMITS
    origins: tuple[Key, ...] = ()


def build_tcp_route(view: TcpRouteView) -> XdsResource:
    """Builds the filter that passes connections on."""
    proxy = TcpProxy(stat_prefix=view.called)
    if len(view.shares) == 1:
        proxy.cluster = view.shares[0][0]
    else:
        for cluster, weight in view.shares:
            proxy.weighted_clusters.clusters.add(name=cluster, weight=weight)
    if view.limits.idle is not None:
        proxy.idle_timeout.CopyFrom(duration(view.limits.idle))
    if view.limits.longest is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(view.limits.longest))
    return encode(view.name, TypedExtensionConfig(name=view.name, typed_config=pack(proxy)), view.origins)


class TcpRoutes:
    """The views of all TCP routes that instances in a scope may have, at one seat."""

    def __init__(self, scope: Scope, seat: Seat = ALONE) -> None:
        self._seat = seat
        self._ports = {one.service.host: tuple(port.number for port in one.service.ports) for one in scope.services}
        self._services = [
            (scoped, port.number)
            for scoped in scope.services
            for port in scoped.service.ports
            if not port.protocol.is_http
        ]

    def views(self, source: Source) -> Iterator[TcpRouteView]:
        """Yields the route of each port that does not speak HTTP, under the name that its listener gives it."""
        for scoped, port in self._services:
            yield self._view(scoped, port, source)

    def _view(self, scoped: ScopedService, port: int, source: Source) -> TcpRouteView:
        service, rules = scoped.service, scoped.destination_rules
        called = self._seat.named(names.outbound_cluster(port, "", service.host))
        shares, origins = [(called, 1)], [service.origin]
        if not is_tls(scoped, port) and (found := _first_route(scoped, port, source)):
            rule, destinations = found
            shares = shares_of(destinations, rule, port, self._ports, self._seat)
            origins.append(rule.key)
        limits = limits_of(rules, port)
        if limits != _NO_LIMITS:
            origins += [one.key for one in rules]
        name = self._seat.named(names.service_route(service.host, port))
        return TcpRouteView(name, called, tuple(shares), limits, tuple(origins))


def is_tls(scoped: ScopedService, port: int) -> bool:
    """Tells whether clients speak TLS to a port, which is routed by its server name instead (Istio 2.3)."""
    found = scoped.service.port(port)
    return found is not None and found.protocol.is_tls


def limits_of(rules: tuple[DestinationRule, ...], port: int) -> TcpLimits:
    """Returns the limits of connections to a port of the service that the rules are for."""
    policy = policy_for(rules, "", port) if rules else None
    tcp = policy.connection_pool.tcp if policy and policy.connection_pool else None
    return TcpLimits(tcp.idle_timeout, tcp.max_connection_duration) if tcp else _NO_LIMITS


def shares_of(
    destinations: Iterable[RouteDestination],
    rule: VirtualService,
    called: int,
    ports: Mapping[Host, tuple[int, ...]],
    seat: Seat,
) -> list[Share]:
    """Returns the clusters of a route with their weights; of several, those without one get nothing (Istio 1.1)."""
    found = [(cluster_of(one.destination, rule, called, ports, seat), one.weight) for one in destinations]
    return [(found[0][0], 1)] if len(found) == 1 else [share for share in found if share[1] > 0]


def _first_route(
    scoped: ScopedService, port: int, source: Source
) -> tuple[VirtualService, tuple[RouteDestination, ...]] | None:
    """Returns the first TCP route for connections of this source, of the first VirtualService that has one."""
    for rule in scoped.virtual_services:
        for route in rule.spec.tcp:
            concerned = (concerns(match, port, scoped.service.address, source) for match in route.match)
            if not route.match or any(concerned):
                return rule, route.route
    return None


def concerns(match: L4MatchAttributes | TLSMatchAttributes, port: int, address: str, source: Source) -> bool:
    """Tells whether a match is about connections of this source to a port of the service with this address.

    All of that is known when routes are made: a listener is for one address. Where capture is explicit a service has none,
    and is in no subnet. As in Istio all conditions count, also beside ``gateways`` (2.3).
    """
    if match.port and match.port != port:
        return False
    if match.gateways and MESH_GATEWAY not in match.gateways:
        return False
    if match.source_namespace and match.source_namespace != source.namespace:
        return False
    if match.destination_subnets and not any(_within(address, subnet) for subnet in match.destination_subnets):
        return False
    return selects(labels_of(match.source_labels), source.labels)


def _within(address: str, subnet: str) -> bool:
    return bool(address) and ip_address(address) in ip_network(subnet, strict=False)
