"""Istio's Gateways: who serves them, on which ports, and which of them are in each other's way.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/gateway`` (gateway.go, conflictinggateway.go,
certificate.go).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mizzen.analysis.gateway_hosts import Server, hosts_for
from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, labels, mapping, selects, shown, text
from mizzen.analysis.world import World, target_ports
from mizzen.resources.paths import join


def ports(world: World) -> Iterator[Message]:
    """IST0101 for a selector that picks nothing, IST0162 for a port that no Service leads to."""
    if not world.running and not world.workloads:
        return
    for gateway in world.of("Gateway"):
        selector = labels(gateway.spec, "selector")
        workloads = world.selected(selector)
        if not workloads:
            if not world.is_installed_gateway(selector):
                yield unselected(gateway, selector)
            continue
        if not world.has("Service") or any(one.opens_ports for one in workloads):
            continue
        reached = {
            port for one in workloads for service in world.services_of(one) for port in target_ports(service, one)
        }
        for server in hosts_for(gateway):
            if server.port and server.port not in reached:
                said = f"no Service leads to port {server.port} of the pods that {shown(selector)} selects"
                path = f"{join('spec.servers', server.index)}.port.number"
                yield message("IST0162", gateway, path, f"{said}, so it cannot be reached through their Service")


def unselected(item: Item, selector: Mapping[str, str], path: str = "spec.selector") -> Message:
    """Returns IST0101 for a selector that picks no workload."""
    return message("IST0101", item, path, f"the selector {shown(selector)} matches no workload")


def conflicts(world: World) -> Iterator[Message]:
    """IST0145 for two Gateways with one port, hosts that overlap, and the same workloads."""
    by_port: dict[int, list[Server]] = defaultdict(list)
    for gateway in world.of("Gateway"):
        for server in hosts_for(gateway):
            if server.port:
                by_port[server.port].append(server)
    found: dict[tuple[Item, int], list[str]] = defaultdict(list)
    for number, servers in by_port.items():
        for server in servers:
            for other in servers:
                name = other.gateway.full_name
                key = (server.gateway, server.index)
                if _conflict(server, other) and name not in found[key]:
                    found[key].append(name)
        for server in servers:
            names = found[server.gateway, server.index]
            if names:
                listed = ", ".join(name for _, name in server.names)
                selector = shown(labels(server.gateway.spec, "selector"))
                said = f"port {number} with the hosts {listed} is taken by Gateway {', '.join(names)} too,"
                said += f" on the same workloads ({selector or 'all'}): only one of them is in force"
                yield message("IST0145", server.gateway, f"{join('spec.servers', server.index)}.hosts", said)


def _conflict(one: Server, other: Server) -> bool:
    if one.gateway is other.gateway or (one.bind and other.bind and one.bind != other.bind):
        return False
    first, second = labels(one.gateway.spec, "selector"), labels(other.gateway.spec, "selector")
    same = first == second or (first and second and (selects(first, second) or selects(second, first)))
    return bool(same) and one.overlaps(other)


def certificates(world: World) -> Iterator[Message]:
    """IST0138 for one certificate in two Gateways of the same workloads: HTTP/2 clients reuse connections across them."""
    by_certificate: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for gateway in world.of("Gateway"):
        for server in hosts_for(gateway):
            certificate = _certificate(mapping(server.value, "tls"))
            if certificate and gateway not in by_certificate[certificate]:
                by_certificate[certificate].append(gateway)
    for certificate, gateways in by_certificate.items():
        for gateway in gateways:
            selector = labels(gateway.spec, "selector")
            others = [
                one.full_name
                for one in gateways
                if one is not gateway and selects(selector, labels(one.spec, "selector"))
            ]
            if others:
                said = f"Gateway {', '.join(others)} has the same certificate ({certificate[0]}): a client that reuses"
                said += " its HTTP/2 connection for the other host may get 404"
                yield message("IST0138", gateway, "metadata.name", said)


def _certificate(tls: Values) -> tuple[str, ...]:
    if name := text(tls, "credentialName"):
        return (name,)
    files = (text(tls, "serverCertificate"), text(tls, "privateKey"))
    return files if all(files) else ()
