"""What one namespace sees of the mesh: each service with the policy that applies to calls to it.

A Scope is the slice of the snapshot that the outbound side of every sidecar in a namespace depends on, or of those that obey
a Sidecar (:mod:`mizzen.mesh.narrowing`). It holds no endpoints: they come and go without a change to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mizzen.mesh.destination_rules import DestinationRuleIndex
from mizzen.mesh.model import DestinationRule, Host, MeshConfig, Service, Snapshot, VirtualService
from mizzen.mesh.owners import seen_services
from mizzen.mesh.virtual_services import VirtualServiceIndex, asks_for
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol

DEFAULT_HTTP_PORT = 80


@dataclass(frozen=True)
class ScopedService:
    """A service, and what a namespace's calls to it obey.

    Of ``virtual_services`` the first that has a route for the caller and the port routes the call. ``inbound_rules`` are those
    that a member behind it obeys when it is called: never such as select callers.
    """

    service: Service
    virtual_services: tuple[VirtualService, ...]
    destination_rules: tuple[DestinationRule, ...]
    inbound_rules: tuple[DestinationRule, ...] = ()

    @property
    def host(self) -> Host:
        return self.service.host


@dataclass(frozen=True)
class LiteralHost:
    """A host of VirtualServices that no service has, and one of the ports on which it is served.

    These are the HTTP ports of the services that stand beside it in the same VirtualService; where there are none, 80 and
    no other (Istio 2.3). In Istio a service without a port 80 counts as none there: its host is served on 80, too, if the
    VirtualService asks for that port. Istio's task about mutual TLS from an egress gateway needs it.
    """

    host: Host
    port: int
    virtual_services: tuple[VirtualService, ...]


@dataclass(frozen=True)
class Scope:
    """All that a namespace may call, by host; ``claims`` are the VirtualServices that it sees, in their order of claim.

    With ``registry_only`` it may call nothing else; what is for no service goes to ``elsewhere``, if that is given, and with
    ``looks_up_hosts`` requests go to what the names in them mean.
    ``mesh_config`` holds where nothing else is said.

    Where a Sidecar narrows it, ``led`` are services that may not be called by their names, but routes or rate limits lead there,
    with the ports that these need; and ``ports`` are those on which other things may be called than on all the others.
    """

    namespace: str
    services: tuple[ScopedService, ...]
    literal_hosts: tuple[LiteralHost, ...]
    claims: tuple[Key, ...] = ()
    registry_only: bool = False
    mesh_config: MeshConfig | None = None
    elsewhere: Elsewhere | None = None
    looks_up_hosts: bool = False
    led: tuple[ScopedService, ...] = ()
    ports: tuple[PortScope, ...] = ()
    narrowed: bool = False

    @property
    def reached(self) -> Iterator[ScopedService]:
        """All services that have clusters: of the same host each has other ports, or the same."""
        yield from self.services
        yield from self.led
        for one in self.ports:
            yield from one.scope.reached


@dataclass(frozen=True)
class Elsewhere:
    """A destination that takes what is for no known service (a Sidecar's egressProxy)."""

    host: Host
    port: int
    subset: str = ""


@dataclass(frozen=True)
class PortScope:
    """What may be called on one port, because a Sidecar has an egress listener for it.

    ``protocol`` is what clients speak there, whatever the services say; a ``forward_proxy`` takes requests for any of them. It
    is called at ``bind``, if that is given, and opens a socket there if it is ``bound``: nothing is redirected to it then.
    """

    number: int
    protocol: Protocol
    scope: Scope
    origin: Key
    forward_proxy: bool = False
    bind: str = ""
    bound: bool = False


def scope_of(snapshot: Snapshot, namespace: str, chosen: frozenset[Key] = frozenset()) -> Scope:
    """Returns what the namespace sees in the snapshot, or those of its workloads that the ``chosen`` DestinationRules select."""
    routes = VirtualServiceIndex(snapshot.routing, namespace)
    rules = ScopedRules(snapshot, namespace, chosen)
    services = [
        rules.scoped(service, routes.claimants(service.host)) for service in seen_services(snapshot, namespace).values()
    ]
    return Scope(
        namespace=namespace,
        services=tuple(services),
        literal_hosts=tuple(literal_hosts(routes, services)),
        claims=tuple(rule.key for rule in routes.rules),
        registry_only=snapshot.registry_only,
        looks_up_hosts=bool(snapshot.mesh_config and snapshot.mesh_config.spec.looks_up_hosts),
        mesh_config=snapshot.mesh_config,
    )


class ScopedRules:
    """The DestinationRules that a namespace sees, or those of its workloads that the ``chosen`` ones select."""

    def __init__(self, snapshot: Snapshot, namespace: str, chosen: frozenset[Key]) -> None:
        rules, root = snapshot.destination_rules, snapshot.root_namespace
        self._inbound = DestinationRuleIndex(rules, namespace, root)
        self._own = DestinationRuleIndex(rules, namespace, root, chosen) if chosen else self._inbound

    def scoped(self, service: Service, claimants: tuple[VirtualService, ...]) -> ScopedService:
        """Returns a service with all that is for it."""
        rules = self._own.lookup(service.host, service.namespace)
        others = rules if self._inbound is self._own else self._inbound.lookup(service.host, service.namespace)
        return ScopedService(service, claimants, rules, others)


def literal_hosts(routes: VirtualServiceIndex, services: Sequence[ScopedService]) -> list[LiteralHost]:
    """Returns the hosts of VirtualServices that none of the services has, on each port where they are served."""
    ports: defaultdict[Key, set[int]] = defaultdict(set)
    for scoped in services:
        for rule in scoped.virtual_services:
            ports[rule.key].update(port.number for port in scoped.service.ports if port.protocol.is_http)
    found: list[LiteralHost] = []
    for host, claimants in routes.literal_hosts(scoped.service.host for scoped in services):
        served = {rule.key: ports[rule.key] or {DEFAULT_HTTP_PORT} for rule in claimants}
        found += [
            LiteralHost(host, port, tuple(rule for rule in claimants if port in served[rule.key]))
            for port in sorted({port for numbers in served.values() for port in numbers})
        ]
    for scoped in services:
        asking = tuple(rule for rule in scoped.virtual_services if asks_for(rule, DEFAULT_HTTP_PORT))
        if asking and all(port.number != DEFAULT_HTTP_PORT for port in scoped.service.ports):
            found.append(LiteralHost(scoped.service.host, DEFAULT_HTTP_PORT, asking))
    return found
