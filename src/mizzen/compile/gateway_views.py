"""What a gateway's listeners and routes depend on, taken out of Gateways and VirtualServices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mizzen.compile import names
from mizzen.compile.gateway_listeners import ChainView, GatewayListenerView
from mizzen.compile.gateway_routes import GatewayHostView, GatewayRoutesView
from mizzen.compile.outbound import Outbound
from mizzen.compile.routes import Source, VirtualHostView, mentioned_labels
from mizzen.mesh.gateways import Binding, bindings, visible_rules
from mizzen.mesh.model import Gateway, GatewaySocket, Host, Instance, VirtualService
from mizzen.resources.gateway_servers import BoundServer, Socket, merged, selecting
from mizzen.resources.key import Key


class GatewayViews:
    """The views of one gateway; ``rules`` are all VirtualServices, with their delegates in place."""

    def __init__(
        self, instance: Instance, outbound: Outbound, gateways: Sequence[Gateway], rules: Sequence[VirtualService]
    ) -> None:
        self._instance = instance
        self._outbound = outbound
        self._rules = visible_rules(rules, instance.namespace)
        asked = mentioned_labels(self._rules)
        self._source = Source(instance.namespace, tuple(one for one in instance.labels if one[0] in asked))
        served, _ = merged(selecting(gateways, dict(instance.labels)))
        # A socket that no Gateway has any more is about to be given back, one without a port about to get one.
        self._sockets = [
            (socket, servers)
            for socket in instance.sockets
            if (servers := served.get(Socket(socket.bind, socket.number)))
        ]

    def listeners(self) -> Iterator[GatewayListenerView]:
        for socket, servers in self._sockets:
            chains = (ChainView(names.gateway_route(socket.number, socket.bind)),)
            yield GatewayListenerView(socket.bind or self._instance.address, socket.local, chains, _origins(servers))

    def routes(self) -> Iterator[GatewayRoutesView]:
        for socket, servers in self._sockets:
            name = names.gateway_route(socket.number, socket.bind)
            yield GatewayRoutesView(name, tuple(self._hosts(socket, servers)))

    def _hosts(self, socket: GatewaySocket, servers: Sequence[BoundServer]) -> Iterator[GatewayHostView]:
        """Yields the virtual hosts of servers whose clients tell them apart by nothing but the host."""
        found = bindings(servers, self._rules)
        redirecting = [server for server in servers if server.spec.tls and server.spec.tls.https_redirect]
        redirected = bindings(redirecting, self._rules).keys() | {
            name for server in redirecting for name in server.names
        }
        for host in sorted(found.keys() | redirected):
            redirect = 0 if host in redirected else None
            yield self._host(host, socket.number, found.get(host, ()), redirect, _origins(redirecting))

    def _host(
        self, host: Host, number: int, bound: Sequence[Binding], redirect: int | None, redirecting: tuple[Key, ...]
    ) -> GatewayHostView:
        rules = tuple(binding.rule for binding in bound)
        ports, hashed = self._outbound.views.leading(rules)
        view = VirtualHostView(host, number, (host,), self._source, rules, ports, hashed)
        return GatewayHostView(view, tuple(binding.gateways for binding in bound), redirect, redirecting)


def _origins(servers: Iterable[BoundServer]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(server.gateway.key for server in servers))
