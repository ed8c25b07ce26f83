"""Where the connections to a gateway go whose bytes it does not read: TCP, and TLS that it passes on or ends (Istio 2.18)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mizzen.compile import names
from mizzen.compile.routes import Source
from mizzen.compile.seats import ALONE
from mizzen.compile.tcp_routes import TcpRouteView, shares_of
from mizzen.compile.tunnels import Tunnels
from mizzen.mesh.gateways import bound, common_hosts, full_name, names_any, served
from mizzen.mesh.model import Host, VirtualService, labels_of, selects
from mizzen.resources.gateway_servers import BoundServer
from mizzen.resources.hosts import comparable, specificity
from mizzen.resources.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes


@dataclass(frozen=True)
class L4Routes:
    """The routes of connections of one gateway; ``ports`` are those of services, ``rules`` come by age."""

    rules: Sequence[VirtualService]
    source: Source
    ports: Mapping[Host, tuple[int, ...]]
    tunnels: Tunnels

    def of_bytes(self, server: BoundServer, name: str) -> TcpRouteView:
        """Returns the route of a server all whose connections go one way: that of the first VirtualService with a route."""
        for rule in self.rules:
            if bound(rule, server) and common_hosts(rule, server):
                for route in rule.spec.tcp:
                    if not route.match or any(self._concerns(match, rule, server) for match in route.match):
                        return self._view(name, rule, route.route, server)
        nowhere = ((names.BLACK_HOLE, 1),)
        return TcpRouteView(name, names.BLACK_HOLE, nowhere, origins=(server.gateway.key,))

    def of_names(self, server: BoundServer) -> Iterator[tuple[str, TcpRouteView]]:
        """Yields the server names that a server passes on, the most specific first, each with its route."""
        found: dict[str, tuple[VirtualService, tuple[RouteDestination, ...]]] = {}
        for rule in self.rules:
            if bound(rule, server):
                for route in rule.spec.tls:
                    for match in route.match:
                        if self._concerns(match, rule, server):
                            for sni in served(map(comparable, match.sni_hosts), rule.namespace, server):
                                found.setdefault(sni, (rule, route.route))
        for sni, (rule, destinations) in sorted(found.items(), key=lambda item: specificity(item[0])):
            name = names.gateway_name_route(server.spec.number, server.spec.bind, sni)
            yield sni, self._view(name, rule, destinations, server)

    def _concerns(
        self, match: L4MatchAttributes | TLSMatchAttributes, rule: VirtualService, server: BoundServer
    ) -> bool:
        """Tells whether a match is about this gateway. As in Istio the address that clients dialled is not asked for here."""
        return (
            match.port in (0, server.spec.number)
            and (not match.gateways or names_any(match.gateways, rule.namespace, frozenset({full_name(server)})))
            and match.source_namespace in ("", self.source.namespace)
            and selects(labels_of(match.source_labels), self.source.labels)
        )

    def _view(
        self, name: str, rule: VirtualService, destinations: tuple[RouteDestination, ...], server: BoundServer
    ) -> TcpRouteView:
        shares = shares_of(destinations, rule, server.spec.number, self.ports, ALONE)
        tunnel = self.tunnels.of(destinations, rule, server.spec.number)
        origins = (server.gateway.key, *rule.origins, *tunnel.origins)
        return TcpRouteView(name, shares[0][0], tuple(shares), tunnel=tunnel.settings, origins=origins)
