"""Checks that routes for requests lead to ports that speak HTTP. Pure; a part of :mod:`mizzen.resources.references`.

Mizzen does not guess protocols. A port that declares none carries bytes, and a rule about requests would have no effect
on it: what is most likely a forgotten name is said, and not found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.protocols import Protocol, declared_protocol
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.virtual_service import VirtualServiceSpec

NO_HTTP = "HTTPRouteForTCPPort"
UNDECLARED = "IST0118"

# Servers on these ports speak first, and Istio takes them for TCP without a declaration (2.14).
_WELL_KNOWN_TCP = frozenset({25, 53, 3306, 27017})


def http_routes(
    rule: Resource[VirtualServiceSpec], index: int, services: Iterable[Resource[ServiceSpec]]
) -> Iterator[Problem]:
    """Yields a problem for each service that the host at ``index`` means and that has no port for HTTP."""
    if not rule.spec.http:
        return
    path = join("spec.hosts", index)
    for service in services:
        protocols = {port.port: declared_protocol(port.name, port.app_protocol) for port in service.spec.ports}
        if protocols and not any(protocol and protocol.is_http for protocol in protocols.values()):
            shown = ", ".join(f"{number} ({protocol or Protocol.TCP})" for number, protocol in protocols.items())
            yield Problem(
                code=NO_HTTP,
                message=f"{service.key} has no port for HTTP, so `http` routes have no effect on it: {shown}",
                position=rule.source.position(path),
                resource=rule.key,
                path=path,
                hint=f"name the port `http` or `grpc`, or set `appProtocol`, in {service.source.position('spec.ports')}",
            )


def undeclared_ports(service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning for each port that does not say what it speaks."""
    for index, port in enumerate(service.spec.ports):
        if declared_protocol(port.name, port.app_protocol) is None and port.port not in _WELL_KNOWN_TCP:
            path = join("spec.ports", index)
            yield Problem(
                code=UNDECLARED,
                message=f"port {port.port} declares no protocol: it carries bytes (TCP), and rules for HTTP do not apply",
                level=Level.WARNING,
                position=service.source.position(path),
                resource=service.key,
                path=path,
                hint="name it after its protocol (`http`, `grpc`, `tcp`, ...), or set `appProtocol`",
            )
