"""What the Gateways of a mesh ask of a gateway's host: on which ports it is to listen, and which files to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mizzen.registry.reports import FileSecret, GatewaySocket
from mizzen.resources.gateway import GatewaySpec, certificate_file, certificate_secret, roots_secret
from mizzen.resources.gateway_servers import BoundServer, Opening, merged, selecting
from mizzen.resources.protocols import Protocol
from mizzen.resources.resource import Resource


def wanted_sockets(gateways: Iterable[Resource[GatewaySpec]], labels: Mapping[str, str]) -> tuple[GatewaySocket, ...]:
    """Returns the sockets of a gateway with these labels, in order."""
    served, _ = merged(selecting(gateways, labels))
    return tuple(
        GatewaySocket(number=socket.number, scheme=_scheme(served[socket]), bind=socket.bind)
        for socket in sorted(served)
    )


def wanted_secrets(gateways: Iterable[Resource[GatewaySpec]], labels: Mapping[str, str]) -> tuple[FileSecret, ...]:
    """Returns the files that hold the certificates of a gateway with these labels, under the names of its secrets."""
    served, _ = merged(selecting(gateways, labels))
    found: dict[str, FileSecret] = {}
    for server in (server for servers in served.values() for server in servers):
        tls, file = server.spec.tls, server.gateway.source.file
        if server.spec.ends_tls and tls and tls.server_certificate:
            certificate, key = certificate_file(tls.server_certificate, file), certificate_file(tls.private_key, file)
            name = certificate_secret(tls, file)
            found[name] = FileSecret(name=name, certificate=certificate, key=key)
            if tls.mode != "SIMPLE":
                name = roots_secret(tls, file)
                found[name] = FileSecret(name=name, roots=certificate_file(tls.ca_certificates, file))
    return tuple(found[name] for name in sorted(found))


def _scheme(servers: Iterable[BoundServer]) -> str:
    """Returns what clients speak: where servers share a port for TLS, HTTPS if any of them says so."""
    servers = list(servers)
    if all(server.spec.protocol is Protocol.TLS for server in servers):
        return "tls"
    return {Opening.HTTP: "http", Opening.TLS: "https", Opening.BYTES: "tcp"}[servers[0].opening]
