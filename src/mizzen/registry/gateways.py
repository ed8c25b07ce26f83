"""What the Gateways of a mesh ask of a gateway's host: on which ports it is to listen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mizzen.registry.reports import GatewaySocket
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.gateway_servers import BoundServer, Opening, merged, selecting
from mizzen.resources.resource import Resource


def wanted_sockets(gateways: Iterable[Resource[GatewaySpec]], labels: Mapping[str, str]) -> tuple[GatewaySocket, ...]:
    """Returns the sockets of a gateway with these labels, in order."""
    served, _ = merged(selecting(gateways, labels))
    return tuple(
        GatewaySocket(number=socket.number, scheme=_scheme(served[socket]), bind=socket.bind)
        for socket in sorted(served)
    )


def _scheme(servers: Iterable[BoundServer]) -> str:
    """Returns what clients speak: of servers behind TLS some may pass bytes, and clients of most speak HTTP inside."""
    openings = {server.opening for server in servers}
    return {Opening.HTTP: "http", Opening.TLS: "https", Opening.BYTES: "tcp"}[openings.pop()]
