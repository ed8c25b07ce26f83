"""Which VirtualServices may route a service's traffic, seen from one namespace (Istio 2.3, for sidecars).

Sidecars do not merge: one VirtualService owns a host. The most specific host wins, then the nearer visibility, then
age. A later one for the same host has an effect only where the one before it has no route at all, because its matches
ask for another source or port; ``resources.references`` reports the two when they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.mesh.model import Host, VirtualService
from mizzen.resources.gateway_names import for_mesh
from mizzen.resources.hosts import is_wildcard, resolve, specificity
from mizzen.resources.visibility import visibility


def host_names(rule: VirtualService) -> list[Host]:
    """Returns the hosts of a VirtualService in full, as they are looked up: short names belong to its own namespace."""
    return list(dict.fromkeys(resolve(host, rule.namespace) for host in rule.spec.hosts))


def asks_for(rule: VirtualService, port: int) -> bool:
    """Tells whether a VirtualService has a route for requests of the mesh's sidecars to this port and no other."""
    return any(
        match.port == port and for_mesh(match.gateways or rule.spec.gateways)
        for route in rule.spec.http
        for match in route.match
    )


class VirtualServiceIndex:
    """The VirtualServices that one namespace sees, by the hosts that they claim; ``rules`` are in their order of claim."""

    def __init__(self, rules: Iterable[VirtualService], client: str) -> None:
        ranked = [
            (visible, rule.age, rule)
            for rule in rules
            if for_mesh(rule.spec.gateways)
            and (visible := visibility(rule.spec.export_to, rule.namespace, client)) is not None
        ]
        self.rules = tuple(rule for _, _, rule in sorted(ranked, key=lambda entry: entry[:2]))
        self._exact: dict[Host, list[VirtualService]] = {}
        self._wildcards: dict[Host, VirtualService] = {}
        for rule in self.rules:
            for host in host_names(rule):
                if is_wildcard(host):
                    self._wildcards.setdefault(host, rule)
                else:
                    self._exact.setdefault(host, []).append(rule)
        self._suffixes = sorted(self._wildcards, key=specificity)

    def claimants(self, host: Host) -> tuple[VirtualService, ...]:
        """Returns the VirtualServices that may route calls to a service: the first of them that has a route does.

        All that name the host itself come in order; of wildcards only the most specific one counts.
        """
        if host in self._exact:
            return tuple(self._exact[host])
        return next(((self._wildcards[wild],) for wild in self._suffixes if host.endswith(wild[1:])), ())

    def literal_hosts(self, services: Iterable[Host]) -> Iterator[tuple[Host, tuple[VirtualService, ...]]]:
        """Yields the hosts that match none of the services, each with those that have routes for requests to it, in order."""
        known = set(services)
        for host, rules in sorted(self._exact.items()):
            if host not in known and (routing := tuple(rule for rule in rules if rule.spec.http)):
                yield host, routing
        for wild, rule in sorted(self._wildcards.items()):
            if rule.spec.http and not any(name.endswith(wild[1:]) for name in known):
                yield wild, (rule,)
