"""Checks that routes for requests, TLS and TCP are for ports that speak so. Pure; a part of :mod:`mizzen.resources.references`.

Mizzen does not guess protocols. A port that declares none carries bytes, and a rule about requests would have no effect
on it: what is most likely a forgotten name is said, and not found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.protocols import Protocol, declared_protocol
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.virtual_service import VirtualServiceSpec

UNDECLARED = "IST0118"


@dataclass(frozen=True)
class _Kind:
    """A kind of routes: its field, and which ports it is for (Istio 2.3)."""

    routes: str
    name: str
    code: str
    port: str
    has: Callable[[Protocol], bool]


_KINDS = (
    _Kind("http", "HTTP", "HTTPRouteForTCPPort", "`http` or `grpc`", lambda protocol: protocol.is_http),
    _Kind("tls", "TLS", "TLSRouteForOtherPort", "`tls` or `https`", lambda protocol: protocol.is_tls),
    _Kind("tcp", "TCP", "TCPRouteForOtherPort", "`tcp`", lambda protocol: protocol is Protocol.TCP),
)

# Servers on these ports speak first, and Istio takes them for TCP without a declaration (2.14).
_WELL_KNOWN_TCP = frozenset({25, 53, 3306, 27017})


def useless_routes(
    rule: Resource[VirtualServiceSpec], index: int, services: Iterable[Resource[ServiceSpec]]
) -> Iterator[Problem]:
    """Yields a problem for each service that the host at ``index`` means and on which no route has an effect."""
    given = [kind for kind in _KINDS if getattr(rule.spec, kind.routes)]
    path = join("spec.hosts", index)
    for service in services:
        found = {port.port: declared_protocol(port.name, port.app_protocol) for port in service.spec.ports}
        protocols = {number: protocol or Protocol.TCP for number, protocol in found.items()}
        if not protocols or any(kind.has(protocol) for kind in given for protocol in protocols.values()):
            continue
        shown = ", ".join(f"{number} ({protocol})" for number, protocol in protocols.items())
        for kind in given:
            yield Problem(
                code=kind.code,
                message=f"{service.key} has no port for {kind.name}, so `{kind.routes}` routes have no effect on it: {shown}",
                position=rule.source.position(path),
                resource=rule.key,
                path=path,
                hint=f"name the port {kind.port}, or set `{_field(service)}`, in {service.source.position('spec.ports')}",
            )


def _field(service: Resource[ServiceSpec]) -> str:
    return "protocol" if service.key.kind == "ServiceEntry" else "appProtocol"


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
