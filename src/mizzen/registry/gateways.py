"""What the Gateways of a mesh ask of a gateway's host: on which ports it is to listen, and which files to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mizzen.registry.credentials import Credentials
from mizzen.registry.reports import FileSecret, GatewaySocket
from mizzen.resources.credentials import (
    ASKING,
    client_secrets,
    client_settings,
    server_certificates,
    server_roots,
)
from mizzen.resources.destination_rule import DestinationRuleSpec, concerns
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
from mizzen.resources.workload import WorkloadSpec


def wanted_sockets(gateways: Iterable[Resource[GatewaySpec]], labels: Mapping[str, str]) -> tuple[GatewaySocket, ...]:
    """Returns the sockets of a gateway with these labels, in order."""
    served, _ = merged(selecting(gateways, labels))
    return tuple(
        GatewaySocket(number=socket.number, scheme=_scheme(served[socket]), bind=socket.bind)
        for socket in sorted(served)
    )


def wanted_secrets(
    gateways: Iterable[Resource[GatewaySpec]],
    rules: Iterable[Resource[DestinationRuleSpec]],
    workload: Resource[WorkloadSpec],
    credentials: Credentials,
) -> tuple[FileSecret, ...]:
    """Returns the files that hold the certificates of a gateway, under the names of its secrets: those that users keep, and
    those of Secrets. No gateway is to have any other.
    """
    found: dict[str, FileSecret] = {}
    served, _ = merged(selecting(gateways, workload.labels))
    for server in (server for servers in served.values() for server in servers):
        if server.spec.ends_tls and server.spec.tls:
            tls, file = server.spec.tls, server.gateway.source.file
            found |= {one.name: one for one in _of_files(tls, file)}
            found |= {one.name: one for one in _of_secrets(tls, workload.namespace, credentials)}
    for rule in rules:
        if concerns(rule, workload.namespace, workload.labels):
            found |= {one.name: one for one in _of_rule(rule.spec, workload.namespace, credentials)}
    return tuple(found[name] for name in sorted(found))


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


def _of_rule(spec: DestinationRuleSpec, namespace: str, credentials: Credentials) -> Iterator[FileSecret]:
    for _, given in client_settings(spec):
        certificate, roots = client_secrets(given)
        if certificate:
            yield credentials.certificate(namespace, certificate)
        if roots:
            yield credentials.roots(namespace, roots)


def _scheme(servers: Iterable[BoundServer]) -> str:
    """Returns what clients speak: where servers share a port for TLS, HTTPS if any of them says so."""
    servers = list(servers)
    if all(server.spec.protocol is Protocol.TLS for server in servers):
        return "tls"
    return {Opening.HTTP: "http", Opening.TLS: "https", Opening.BYTES: "tcp"}[servers[0].opening]
