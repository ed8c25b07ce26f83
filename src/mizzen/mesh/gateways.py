"""Which VirtualServices a gateway obeys, and for which hosts (Istio 2.3 and 2.18).

At gateways VirtualServices for one host are merged, by age; at sidecars one of them owns it. A VirtualService is bound to
Gateways by name, and counts for those hosts that it has in common with one of their servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mizzen.mesh.model import Host, VirtualService
from mizzen.mesh.virtual_services import host_names
from mizzen.resources.gateway_names import MESH, gateway_name
from mizzen.resources.gateway_servers import BoundServer
from mizzen.resources.hosts import matches, subset_of
from mizzen.resources.visibility import visibility


@dataclass(frozen=True)
class Binding:
    """A VirtualService at a gateway; ``gateways`` are the names of those Gateways there by which a host gets to it."""

    rule: VirtualService
    gateways: frozenset[str]


def names_any(written: Iterable[str], namespace: str, wanted: frozenset[str]) -> bool:
    """Tells whether one of the names that a resource of ``namespace`` gives Gateways is among the wanted ones."""
    return any(gateway_name(name, namespace) in wanted for name in written)


def visible_rules(rules: Iterable[VirtualService], namespace: str) -> list[VirtualService]:
    """Returns those that name a Gateway and that a gateway's namespace sees, by age."""
    seen = (
        rule
        for rule in rules
        if any(name != MESH for name in rule.spec.gateways)
        and visibility(rule.spec.export_to, rule.namespace, namespace) is not None
    )
    return sorted(seen, key=lambda rule: rule.age)


def bound(rule: VirtualService, server: BoundServer) -> bool:
    """Tells whether a VirtualService names the server's Gateway."""
    return names_any(rule.spec.gateways, rule.namespace, frozenset({full_name(server)}))


def full_name(server: BoundServer) -> str:
    return f"{server.gateway.namespace}/{server.gateway.name}"


def common_hosts(rule: VirtualService, server: BoundServer) -> list[Host]:
    """Returns the hosts of a VirtualService that a server serves, each the narrower of the two, in its order."""
    return served(host_names(rule), rule.namespace, server)


def served(wanted: Iterable[Host], namespace: str, server: BoundServer) -> list[Host]:
    """Returns what of the hosts that a resource of ``namespace`` wants a server serves, each the narrower of the two."""
    found: dict[Host, None] = {}
    for host in wanted:
        for sees, name in server.hosts:
            if sees in ("*", namespace) and matches(host, name):
                found[host if subset_of(host, name) else name] = None
    return list(found)


def bindings(servers: Sequence[BoundServer], rules: Sequence[VirtualService]) -> dict[Host, tuple[Binding, ...]]:
    """Returns the hosts of servers that are one to clients, each with the VirtualServices for it, by age."""
    found: dict[Host, dict[int, set[str]]] = {}
    for at, rule in enumerate(rules):
        for server in servers:
            if bound(rule, server):
                for host in common_hosts(rule, server):
                    found.setdefault(host, {}).setdefault(at, set()).add(full_name(server))
    return {
        host: tuple(Binding(rules[at], frozenset(names)) for at, names in by_rule.items())
        for host, by_rule in sorted(found.items())
    }
