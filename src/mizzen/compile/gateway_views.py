"""What a gateway's listeners and routes depend on, taken out of Gateways and VirtualServices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mizzen.compile import names
from mizzen.compile.domains import literal
from mizzen.compile.gateway_l4 import L4Routes
from mizzen.compile.gateway_listeners import ChainView, GatewayListenerView
from mizzen.compile.gateway_routes import GatewayHostView, GatewayRoutesView
from mizzen.compile.gateway_tls import tls_view
from mizzen.compile.outbound import Outbound
from mizzen.compile.route_views import source_of
from mizzen.compile.routes import VirtualHostView, mentioned_labels
from mizzen.compile.tcp_routes import TcpRouteView
from mizzen.compile.tunnels import Tunnels
from mizzen.mesh.gateway_addresses import listened_at
from mizzen.mesh.gateways import Binding, bindings, visible_rules
from mizzen.mesh.model import Gateway, GatewaySocket, Host, Instance, VirtualService
from mizzen.resources.gateway_servers import BoundServer, Opening, Socket, merged, selecting
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol

_HTTPS = 443


class GatewayViews:
    """The views of one gateway; ``rules`` are all VirtualServices, with their delegates in place."""

    def __init__(
        self,
        instance: Instance,
        outbound: Outbound,
        gateways: Sequence[Gateway],
        rules: Sequence[VirtualService],
        trust_domain: str,
    ) -> None:
        self._instance = instance
        self._outbound = outbound
        self._trust_domain = trust_domain
        self._rules = visible_rules(rules, instance.namespace)
        self._source = source_of(instance, mentioned_labels(self._rules))
        self._manners = outbound.manners
        ports = outbound.views.ports
        self._l4 = L4Routes(self._rules, self._source, ports, Tunnels(outbound.rules, ports))
        served, _ = merged(selecting(gateways, dict(instance.labels)))
        # A socket that no Gateway has any more is about to be given back, one without a port about to get one.
        self._sockets = [
            (socket, servers)
            for socket in instance.sockets
            if (servers := served.get(Socket(socket.bind, socket.number)))
        ]

    def listeners(self) -> Iterator[GatewayListenerView]:
        """Yields the listeners: none of a gateway that leaves, so that others with its ports get all that is new."""
        if self._instance.closing:
            return
        for socket, servers in self._sockets:
            asks = servers[0].opening is Opening.TLS
            if servers[0].opening is Opening.HTTP:
                web = any(server.spec.protocol is Protocol.GRPC_WEB for server in servers)
                route = names.gateway_route(socket.number, socket.bind)
                chains = [ChainView(route, manners=self._manners, grpc_web=web)]
            else:
                chains = [chain for server in servers for chain in self._chains(server)]
            address, *others = (socket.bind,) if socket.bind else self._addresses
            yield GatewayListenerView(
                address, socket.local, tuple(_distinct(chains)), asks, tuple(others), _origins(servers)
            )

    def routes(self) -> Iterator[GatewayRoutesView]:
        for socket, servers in self._sockets:
            if servers[0].opening is Opening.HTTP:
                name = names.gateway_route(socket.number, socket.bind)
                yield GatewayRoutesView(name, tuple(self._hosts(socket, servers)))
            for server in filter(_reads, servers):
                found = bindings([server], self._rules)
                hosts = (self._host(host, socket.number, bound, secure=True) for host, bound in found.items())
                yield GatewayRoutesView(_own_name(server), tuple(hosts))

    def filters(self) -> Iterator[TcpRouteView]:
        for _, servers in self._sockets:
            for server in servers:
                if server.opening is Opening.BYTES or (server.spec.ends_tls and not _reads(server)):
                    yield self._l4.of_bytes(server, _own_name(server))
                elif server.opening is Opening.TLS and not _reads(server):
                    yield from (view for _, view in self._l4.of_names(server))

    def _chains(self, server: BoundServer) -> Iterator[ChainView]:
        if server.opening is Opening.BYTES:
            yield ChainView(_own_name(server), passes=True)
        elif server.spec.ends_tls:
            ending = tls_view(server.spec, server.gateway.source.file, self._trust_domain)
            named = _server_names(server.names)
            yield ChainView(
                _own_name(server), passes=not _reads(server), server_names=named, tls=ending, manners=self._manners
            )
        else:
            for sni, view in self._l4.of_names(server):
                yield ChainView(view.name, passes=True, server_names=_server_names([sni]))

    def _hosts(self, socket: GatewaySocket, servers: Sequence[BoundServer]) -> Iterator[GatewayHostView]:
        """Yields the virtual hosts of servers whose clients tell them apart by nothing but the host."""
        found = bindings(servers, self._rules)
        redirecting = [server for server in servers if server.spec.tls and server.spec.tls.https_redirect]
        redirected = bindings(redirecting, self._rules).keys() | {
            name for server in redirecting for name in server.names
        }
        for host in sorted(found.keys() | redirected):
            redirect = self._https if host in redirected else None
            yield self._host(host, socket.number, found.get(host, ()), redirect, _origins(redirecting))

    @property
    def _addresses(self) -> tuple[str, ...]:
        return listened_at(self._instance.address, self._instance.mesh_address)

    @property
    def _https(self) -> int:
        """Where HTTPS is, if that is another port on this host than the Gateway's, else 0."""
        local = next((one.local for one, _ in self._sockets if one.number == _HTTPS), _HTTPS)
        return 0 if local == _HTTPS else local

    def _host(
        self,
        host: Host,
        number: int,
        bound: Sequence[Binding],
        redirect: int | None = None,
        redirecting: tuple[Key, ...] = (),
        *,
        secure: bool = False,
    ) -> GatewayHostView:
        rules = tuple(binding.rule for binding in bound)
        ports, hashed = self._outbound.views.leading(rules)
        mesh = self._outbound.scope.mesh_config
        view = VirtualHostView(
            host, number, literal(host), self._source, rules, ports, hashed, secure=secure, mesh_config=mesh
        )
        return GatewayHostView(view, tuple(binding.gateways for binding in bound), redirect, redirecting)


def _reads(server: BoundServer) -> bool:
    """Tells whether a server ends TLS and reads the requests in it."""
    return server.spec.ends_tls and server.spec.protocol is Protocol.HTTPS


def _own_name(server: BoundServer) -> str:
    """Returns the name of what routes the clients of one server and of no other."""
    port = server.spec.port.name if server.spec.port else ""
    gateway = server.gateway
    return names.gateway_server_route(_reads(server), server.spec.number, port, gateway.name, gateway.namespace)


def _server_names(hosts: Iterable[str]) -> tuple[str, ...]:
    """Returns the hosts in Envoy's words: none stands for all."""
    found = sorted(hosts)
    return () if "*" in found else tuple(found)


def _distinct(chains: Iterable[ChainView]) -> Iterator[ChainView]:
    """Yields the chains, each with the names that no earlier one has: Envoy refuses a listener with two for one name."""
    taken: set[str] = set()
    for chain in chains:
        wanted = chain.server_names or ("*",)
        if taken.isdisjoint(wanted):
            taken.update(wanted)
            yield chain


def _origins(servers: Iterable[BoundServer]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(server.gateway.key for server in servers))
