"""Istio's rules for TLS and TCP routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from mizzen.resources import hosts
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.destinations import weighted
from mizzen.resources.virtual_service import L4MatchAttributes, TCPRoute, TLSMatchAttributes, VirtualServiceSpec


def tls_routes(path: str, spec: VirtualServiceSpec) -> Iterator[Finding]:
    for index, route in enumerate(spec.tls):
        where = join(path, index)
        if not route.match:
            yield Finding(where, "TLS route must have at least one match condition")
        for position, match in enumerate(route.match):
            yield from _tls_match(join(f"{where}.match", position), match, spec.hosts)
        if not route.route:
            yield Finding(where, "TLS route is required")
        yield from weighted(f"{where}.route", route.route)


def _tls_match(path: str, match: TLSMatchAttributes, own_hosts: Sequence[str]) -> Iterator[Finding]:
    if not match.sni_hosts:
        yield Finding(path, "TLS match must have at least one SNI host")
    for index, sni in enumerate(match.sni_hosts):
        where = join(f"{path}.sniHosts", index)
        if hosts.is_ip_address(sni):
            yield warning(where, f"using an IP address ({sni}) as SNI host is not allowed by the TLS specification")
            continue
        yield from names.domain(where, sni)
        if not any(hosts.subset_of(hosts.comparable(sni), hosts.comparable(host)) for host in own_hosts):
            message = f"SNI host {sni!r} is not a compatible subset of any of the virtual service domains"
            yield Finding(where, message, hint="add it to `hosts`")
    yield from _l4_match(path, match)


def tcp_routes(path: str, routes: Sequence[TCPRoute]) -> Iterator[Finding]:
    for index, route in enumerate(routes):
        where = join(path, index)
        for position, match in enumerate(route.match):
            yield from _l4_match(join(f"{where}.match", position), match)
        if not route.route:
            yield Finding(where, "TCP route is required")
        yield from weighted(f"{where}.route", route.route)


def _l4_match(path: str, match: TLSMatchAttributes | L4MatchAttributes) -> Iterator[Finding]:
    for index, subnet in enumerate(match.destination_subnets):
        if not _is_subnet(subnet):
            yield Finding(join(f"{path}.destinationSubnets", index), f"{subnet!r} is not a valid CIDR block")
    if match.port:
        yield from names.port_number(f"{path}.port", match.port)
    yield from names.labels(f"{path}.sourceLabels", match.source_labels)
    if match.source_namespace and not names.is_dns_label(match.source_namespace):
        yield Finding(f"{path}.sourceNamespace", f"sourceNamespace match {match.source_namespace!r} is invalid")


def _is_subnet(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
