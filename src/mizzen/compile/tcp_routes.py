"""TCP routes: where the connections to a service's port go whose bytes nobody reads (TCPRoute, TLSRoute, Istio 1.1).

In Envoy a TCP route is part of a listener, whose connections end when it changes. But the filter that has the route may come
by itself, as routes of HTTP do (ECDS): then a change is for the connections that are yet to come, and no other notices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeAlias

from mizzen.compile import names, tunnels
from mizzen.compile.branches import Branch
from mizzen.compile.clusters import policy_for
from mizzen.compile.destinations import cluster_of, elsewhere_cluster
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.routes import Source
from mizzen.compile.seats import ALONE, Seat
from mizzen.compile.sni_routes import SniClusterView, SniView, sni_name
from mizzen.compile.tunnels import Tunnels
from mizzen.mesh.model import DestinationRule, Host, MeshConfig, VirtualService, labels_of, selects
from mizzen.mesh.scope import Scope, ScopedService
from mizzen.resources.destination_rule import TunnelSettings
from mizzen.resources.gateway_names import MESH
from mizzen.resources.hosts import comparable, subset_of
from mizzen.resources.key import Key
from mizzen.resources.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

Share: TypeAlias = tuple[str, int]
"""A cluster, and its weight."""

_BySni: TypeAlias = dict[str, tuple[RouteDestination, ...]]


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
    tunnel: TunnelSettings | None = None
    origins: tuple[Key, ...] = ()


def build_tcp_route(view: TcpRouteView) -> XdsResource:
    """Builds the filter that passes connections on."""
    proxy = TcpProxy(stat_prefix=view.called)
    if len(view.shares) == 1:
        proxy.cluster = view.shares[0][0]
    else:
        for cluster, weight in view.shares:
            proxy.weighted_clusters.clusters.add(name=cluster, weight=weight)
    tunnels.apply(proxy, view.tunnel)
    if view.limits.idle is not None:
        proxy.idle_timeout.CopyFrom(duration(view.limits.idle))
    if view.limits.longest is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(view.limits.longest))
    return encode(view.name, TypedExtensionConfig(name=view.name, typed_config=pack(proxy)), view.origins)


class TcpRoutes:
    """The views of all TCP and TLS routes that instances in a scope may have, at one seat; ``ports`` are those of services."""

    def __init__(self, scope: Scope, ports: Mapping[Host, tuple[int, ...]], seat: Seat = ALONE) -> None:
        self._seat = seat
        self._ports = ports
        self._mesh_config = scope.mesh_config
        self._tunnels = Tunnels({one.service.host: one.destination_rules for one in scope.services}, ports)
        allowed = names.BLACK_HOLE if scope.registry_only else elsewhere_cluster(scope, seat)
        self._elsewhere = TcpRouteView(seat.named(names.ELSEWHERE), allowed, ((allowed, 1),))
        self._services = [
            (scoped, port) for scoped in scope.services for port in scoped.service.ports if not port.protocol.is_http
        ]

    def rerouted(self, scope: Scope, hosts: Container[Host]) -> TcpRoutes:
        """Returns the views of a scope that differs in what VirtualServices say of these hosts: the same ones if none is its own."""
        if any(scoped.host in hosts for scoped, _ in self._services):
            return TcpRoutes(scope, self._ports, self._seat)
        return self

    def sni_clusters(self) -> Iterator[SniClusterView]:
        """Yields the clusters that lead to the listeners for TLS."""
        for scoped, port in self._services:
            if port.protocol.is_tls:
                yield SniClusterView(sni_name(self._seat, scoped.service.host, port.number), scoped.service.origin)

    def sni_listeners(self, source: Source) -> Iterator[SniView]:
        """Yields the listeners for TLS, each with the server names that have routes for this source."""
        for scoped, port in self._services:
            if port.protocol.is_tls:
                rule, routes = self._tls(scoped, port.number, source)
                origins = (scoped.service.origin, *((rule.key,) if rule else ()))
                name = sni_name(self._seat, scoped.service.host, port.number)
                chains = tuple((sni, self._name(scoped, port.number, sni)) for sni in routes)
                yield SniView(name, self._called(scoped, port.number), chains, origins)

    def taken(self) -> tuple[tuple[int, Branch], ...]:
        """Returns the server names whose connections have a route wherever they go, each with its port.

        So it is for names that a VirtualService has beside the one of a ServiceEntry without addresses: nobody but this entry
        is known to the mesh, and clients call the others where the world's DNS says they are. In Istio such an entry has no
        address of its own, and its chains take all connections to the port (Istio 2.7).
        """
        found: dict[tuple[int, str], Branch] = {}
        for scoped, port in self._services:
            for rule, sni in _other_names(scoped, port.number) if port.protocol.is_tls else ():
                route = self._name(scoped, port.number, sni)
                found.setdefault((port.number, sni), Branch(route, server_name=sni, origin=rule.key))
        return tuple((number, branch) for (number, _), branch in found.items())

    def views(self, source: Source) -> Iterator[TcpRouteView]:
        """Yields the route of each port that does not speak HTTP, under the name that its listener gives it, and those of
        the server names of TLS; and that of connections to no known service.
        """
        yield self._elsewhere
        for scoped, port in self._services:
            yield from (self._tls_views if port.protocol.is_tls else self._tcp_views)(scoped, port.number, source)

    def _tcp_views(self, scoped: ScopedService, port: int, source: Source) -> Iterator[TcpRouteView]:
        found = _first_route(scoped, port, source)
        yield self._view(scoped, port, self._name(scoped, port), *(found or (None, ())))

    def _tls_views(self, scoped: ScopedService, port: int, source: Source) -> Iterator[TcpRouteView]:
        rule, routes = self._tls(scoped, port, source)
        front = self._view(scoped, port, self._name(scoped, port))
        if rule:
            front = dataclasses.replace(front, shares=((sni_name(self._seat, scoped.service.host, port), 1),))
        yield front
        for sni, destinations in routes.items():
            yield self._view(scoped, port, self._name(scoped, port, sni), rule, destinations)
        for sni in dict.fromkeys(sni for _, sni in _other_names(scoped, port)):
            if sni not in routes:  # a route for others: this source goes where it would without
                yield dataclasses.replace(self._elsewhere, name=self._name(scoped, port, sni))

    def _tls(self, scoped: ScopedService, port: int, source: Source) -> tuple[VirtualService | None, _BySni]:
        """Returns the TLS routes for connections of this source, of the first VirtualService that has some."""
        for rule in scoped.virtual_services:
            found: _BySni = {}
            for route in rule.spec.tls:
                for match in route.match:
                    if concerns(match, port, scoped.service.address, source):
                        for sni in match.sni_hosts:
                            found.setdefault(comparable(sni), route.route)
            if found:
                return rule, dict(sorted(found.items()))
        return None, {}

    def _view(
        self,
        scoped: ScopedService,
        port: int,
        name: str,
        rule: VirtualService | None = None,
        destinations: tuple[RouteDestination, ...] = (),
    ) -> TcpRouteView:
        """Returns a route to destinations, or without any to the service that is called."""
        called = self._called(scoped, port)
        shares, origins = [(called, 1)], [scoped.service.origin]
        if rule:
            tunnel = self._tunnels.of(destinations, rule, port)
            shares = shares_of(destinations, rule, port, self._ports, self._seat)
            origins.append(rule.key)
        else:
            tunnel = self._tunnels.to(scoped.service.host, port)
        origins += tunnel.origins
        limits = limits_of(scoped.destination_rules, port, self._mesh_config)
        if limits != _NO_LIMITS:
            origins += [one.key for one in scoped.destination_rules]
            origins += [self._mesh_config.key] if self._mesh_config else []
        return TcpRouteView(name, called, tuple(shares), limits, tunnel.settings, tuple(origins))

    def _called(self, scoped: ScopedService, port: int) -> str:
        return self._seat.named(names.outbound_cluster(port, "", scoped.service.host))

    def _name(self, scoped: ScopedService, port: int, sni: str = "") -> str:
        route = names.service_route(scoped.service.host, port)
        return self._seat.named(f"{route}|{sni}" if sni else route)


def limits_of(rules: tuple[DestinationRule, ...], port: int, mesh: MeshConfig | None = None) -> TcpLimits:
    """Returns the limits of connections to a port of the service that the rules are for."""
    policy = policy_for(rules, "", port, mesh) if rules or mesh else None
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


def _other_names(scoped: ScopedService, port: int) -> Iterator[tuple[VirtualService, str]]:
    """Yields the server names that VirtualServices have beside the host of a ServiceEntry without addresses, for a port of it."""
    service = scoped.service
    if not service.entry or service.addresses:
        return
    for rule in scoped.virtual_services:
        for match in (match for route in rule.spec.tls for match in route.match):
            anywhere = not match.destination_subnets and (not match.gateways or MESH in match.gateways)
            if anywhere and match.port in (0, port):
                hosts = map(comparable, match.sni_hosts)
                yield from ((rule, sni) for sni in hosts if not subset_of(sni, service.host))


def concerns(match: L4MatchAttributes | TLSMatchAttributes, port: int, address: str, source: Source) -> bool:
    """Tells whether a match is about connections of this source to a port of the service with this address.

    All of that is known when routes are made: a listener is for one address. Where capture is explicit a service has none,
    and is in no subnet. As in Istio all conditions count, also beside ``gateways`` (2.3).
    """
    if match.port and match.port != port:
        return False
    if match.gateways and MESH not in match.gateways:
        return False
    if match.source_namespace and match.source_namespace != source.namespace:
        return False
    if match.destination_subnets and not any(_within(address, subnet) for subnet in match.destination_subnets):
        return False
    return selects(labels_of(match.source_labels), source.labels)


def _within(address: str, subnet: str) -> bool:
    return bool(address) and ip_address(address) in ip_network(subnet, strict=False)
