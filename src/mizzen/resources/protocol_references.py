"""Checks that rules for requests, TLS and TCP are for ports that speak so. Pure; a part of :mod:`mizzen.resources.references`.

On a port that declares no protocol a proxy finds out for each connection whether it brings requests (Istio 2.14), so rules for
both have an effect there. It is said nevertheless: to find out costs time, and a server that speaks first waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mizzen.resources.destination_rule import (
    DestinationRuleSpec,
    LoadBalancerSettings,
    PortTrafficPolicy,
    TrafficPolicy,
    levels,
)
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.protocols import Protocol, undeclared
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.virtual_service import VirtualServiceSpec

UNDECLARED = "IST0118"
HASHED_BYTES = "HashedBytes"
NOT_UPGRADED = "NotUpgraded"


@dataclass(frozen=True)
class _Kind:
    """A kind of routes: its field, and which ports it is for (Istio 2.3)."""

    routes: str
    name: str
    code: str
    port: str
    has: Callable[[Protocol], bool]


_KINDS = (
    _Kind("http", "HTTP", "HTTPRouteForTCPPort", "`http` or `grpc`", lambda protocol: protocol.may_be_http),
    _Kind("tls", "TLS", "TLSRouteForOtherPort", "`tls` or `https`", lambda protocol: protocol.is_tls),
    _Kind("tcp", "TCP", "TCPRouteForOtherPort", "`tcp`", lambda protocol: protocol.may_be_tcp),
)


def useless_routes(
    rule: Resource[VirtualServiceSpec], index: int, services: Iterable[Resource[ServiceSpec]]
) -> Iterator[Problem]:
    """Yields a problem for each service that the host at ``index`` means and on which no route has an effect."""
    given = [kind for kind in _KINDS if getattr(rule.spec, kind.routes)]
    path = join("spec.hosts", index)
    for service in services:
        protocols = {port.port: port.speaks for port in service.spec.ports}
        if not protocols or any(kind.has(protocol) for kind in given for protocol in protocols.values()):
            continue
        shown = ", ".join(f"{number} ({protocol})" for number, protocol in protocols.items())
        for kind in given:
            yield rule.problem(
                kind.code,
                path,
                f"{service.key} has no port for {kind.name}, so `{kind.routes}` routes have no effect on it: {shown}",
                f"name the port {kind.port}, or set `{_field(service)}`, in {service.source.position('spec.ports')}",
            )


def unfit_policies(rule: Resource[DestinationRuleSpec], service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields what of a rule does not suit what the ports of its service speak."""
    yield from _hashed_bytes(rule, service)
    yield from _not_upgraded(rule, service)


def _hashed_bytes(rule: Resource[DestinationRuleSpec], service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning where what is hashed is part of a request, and the service has no requests."""
    requests = {port.port for port in service.spec.ports if port.speaks.may_be_http}
    for path, ports, balancer in _balancers(rule.spec):
        hashed = balancer.consistent_hash
        if hashed is None or hashed.use_source_ip is not None or requests & (ports or requests):
            continue
        where = f"{path}.loadBalancer.consistentHash"
        yield rule.problem(
            HASHED_BYTES,
            where,
            f"{service.key} has no port for HTTP here, so there is nothing to hash: connections go to any endpoint",
            "write `useSourceIp: true`, or name the port after its protocol",
            Level.WARNING,
        )


def _not_upgraded(rule: Resource[DestinationRuleSpec], service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning where requests are to be upgraded to HTTP/2 on a port that declares no protocol.

    Istio would, and speak HTTP/2 to an application of which nobody has said that it understands it.
    """
    undeclared = [port.port for port in service.spec.ports if port.speaks is Protocol.UNDECLARED]
    for path, ports, policy in _policies(rule.spec):
        http = policy.connection_pool.http if policy.connection_pool else None
        meant = [number for number in undeclared if not ports or number in ports]
        if meant and http and http.h2_upgrade_policy == "UPGRADE":
            where = f"{path}.connectionPool.http.h2UpgradePolicy"
            yield rule.problem(
                NOT_UPGRADED,
                where,
                f"port {meant[0]} of {service.key} declares no protocol: its requests are passed on as they came",
                f"name the port `http`, or set `{_field(service)}`, in {service.source.position('spec.ports')}",
                Level.WARNING,
            )


def _balancers(spec: DestinationRuleSpec) -> Iterator[tuple[str, set[int], LoadBalancerSettings]]:
    """Yields the load balancers of a rule, each with its path and the ports that it is for; none stands for all."""
    for path, ports, policy in _policies(spec):
        if policy.load_balancer:
            yield path, ports, policy.load_balancer


def _policies(spec: DestinationRuleSpec) -> Iterator[tuple[str, set[int], TrafficPolicy | PortTrafficPolicy]]:
    """Yields the policies of a rule, each with its path and the ports that it is for; none stands for all."""
    for path, level in levels(spec):
        if not isinstance(level, PortTrafficPolicy):
            yield path, set(), level
        elif level.port:
            yield path, {level.port.number}, level


def _field(service: Resource[ServiceSpec]) -> str:
    return "protocol" if service.key.kind == "ServiceEntry" else "appProtocol"


def undeclared_ports(service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning for each port that does not say what it speaks."""
    for index, port in enumerate(service.spec.ports):
        if port.speaks is Protocol.UNDECLARED:
            path = join("spec.ports", index)
            yield service.problem(
                UNDECLARED,
                path,
                undeclared(port.port),
                "name it after its protocol (`http`, `grpc`, `tcp`, ...), or set `appProtocol`",
                Level.WARNING,
            )
