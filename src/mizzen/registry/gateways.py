"""What the Gateways of a mesh ask of a gateway's host: on which ports it is to listen, and which certificates it has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mizzen.registry.credentials import Credentials
from mizzen.registry.reports import FileSecret, GatewaySocket
from mizzen.resources.credentials import (
    ASKING,
    server_certificates,
    server_roots,
)
from mizzen.resources.gateway import (
    GatewaySpec,
    ServerTLSSettings,
    certificate_file,
    certificate_secret,
    roots_secret,
)
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


def gateway_secrets(
    gateways: Iterable[Resource[GatewaySpec]], namespace: str, labels: Mapping[str, str], credentials: Credentials
) -> Iterator[FileSecret]:
    """Yields the certificates that Gateways name for a gateway of a namespace with these labels."""
    served, _ = merged(selecting(gateways, labels))
    for server in (server for servers in served.values() for server in servers):
        if server.spec.ends_tls and server.spec.tls:
            yield from _of_files(server.spec.tls, server.gateway.source.file)
            yield from _of_secrets(server.spec.tls, namespace, credentials)


def _of_files(tls: ServerTLSSettings, file: str) -> Iterator[FileSecret]:
    for pair in tls.pairs:
        certificate, key = certificate_file(pair.server_certificate, file), certificate_file(pair.private_key, file)
        yield FileSecret(name=certificate_secret(pair, file), certificate=certificate, key=key)
    if tls.ca_certificates and tls.mode in ASKING:
        roots, crl = certificate_file(tls.ca_certificates, file), tls.ca_crl and certificate_file(tls.ca_crl, file)
        yield FileSecret(name=roots_secret(tls, file), roots=roots, crl=crl)


def _of_secrets(tls: ServerTLSSettings, namespace: str, credentials: Credentials) -> Iterator[FileSecret]:
    for _, secret in server_certificates(tls):
        yield credentials.certificate(namespace, secret)
    if roots := server_roots(tls):
        yield credentials.roots(namespace, roots[1])


def _scheme(servers: Iterable[BoundServer]) -> str:
    """Returns what clients speak: where servers share a port for TLS, HTTPS if any of them says so."""
    servers = list(servers)
    if all(server.spec.protocol is Protocol.TLS for server in servers):
        return "tls"
    return {Opening.HTTP: "http", Opening.TLS: "https", Opening.BYTES: "tcp"}[servers[0].opening]
