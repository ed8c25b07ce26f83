"""Checks that rules for requests, TLS and TCP are for ports that speak so. Pure; a part of :mod:`mizzen.resources.references`.

Mizzen does not guess protocols. A port that declares none carries bytes, and a rule about requests would have no effect
on it: what is most likely a forgotten name is said, and not found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mizzen.resources.destination_rule import DestinationRuleSpec, LoadBalancerSettings
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.protocols import Protocol, declared_protocol
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.virtual_service import VirtualServiceSpec

UNDECLARED = "IST0118"
HASHED_BYTES = "HashedBytes"


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


def hashed_bytes(rule: Resource[DestinationRuleSpec], service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning where what is hashed is part of a request, and the service has no requests."""
    found = {port.port: declared_protocol(port.name, port.app_protocol) for port in service.spec.ports}
    requests = {number for number, protocol in found.items() if protocol and protocol.is_http}
    for path, ports, balancer in _balancers(rule.spec):
        hashed = balancer.consistent_hash
        if hashed is None or hashed.use_source_ip is not None or requests & (ports or requests):
            continue
        where = f"{path}.loadBalancer.consistentHash"
        yield Problem(
            code=HASHED_BYTES,
            message=f"{service.key} has no port for HTTP here, so there is nothing to hash: connections go to any endpoint",
            level=Level.WARNING,
            position=rule.source.position(where),
            resource=rule.key,
            path=where,
            hint="write `useSourceIp: true`, or name the port after its protocol",
        )


def _balancers(spec: DestinationRuleSpec) -> Iterator[tuple[str, set[int], LoadBalancerSettings]]:
    """Yields the load balancers of a rule, each with its path and the ports that it is for; none stands for all."""
    policies = [("spec.trafficPolicy", spec.traffic_policy)]
    policies += [
        (f"{join('spec.subsets', index)}.trafficPolicy", subset.traffic_policy)
        for index, subset in enumerate(spec.subsets)
    ]
    for path, policy in policies:
        if policy and policy.load_balancer:
            yield path, set(), policy.load_balancer
        for index, level in enumerate(policy.port_level_settings if policy else ()):
            if level.load_balancer and level.port:
                yield join(f"{path}.portLevelSettings", index), {level.port.number}, level.load_balancer


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
