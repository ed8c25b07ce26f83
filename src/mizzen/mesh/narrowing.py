"""What workloads see of the mesh that obey a Sidecar: the services and rules that its egress listeners select (Istio 2.6).

Services to which selected VirtualServices lead, and those that the namespace's RateLimits ask, are reached without being
selected. Each port that has a listener of its own is a scope by itself, and the last listener, which has no port, takes the
ports that are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mizzen.mesh.model import Host, Service, ServicePort, Sidecar, Snapshot, VirtualService
from mizzen.mesh.owners import seen_services
from mizzen.mesh.rate_limits import limit_servers
from mizzen.mesh.scope import Elsewhere, PortScope, Scope, ScopedRules, ScopedService, literal_hosts
from mizzen.mesh.virtual_services import VirtualServiceIndex, host_names
from mizzen.resources.egress_hosts import EgressHosts, egress_hosts
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.resources.sidecar import EgressListener
from mizzen.resources.virtual_service import Destination, all_destinations

_EVERYTHING = EgressListener(hosts=("*/*",))


def narrowed_scope(snapshot: Snapshot, namespace: str, sidecar: Sidecar, chosen: frozenset[Key] = frozenset()) -> Scope:
    """Returns what workloads of the namespace see that obey a Sidecar, which may be one of the root namespace.

    ``chosen`` are the DestinationRules that select them.
    """
    given = _Given(snapshot, namespace, sidecar, chosen)
    listeners = sidecar.spec.egress or (_EVERYTHING,)
    claimed = {one.port.number for one in listeners if one.port}
    rest = next((one for one in listeners if one.port is None), None)
    found = given.scope(rest.hosts if rest else (), _but(claimed))
    return replace(found, ports=tuple(_port_scopes(given, listeners)))


def _port_scopes(given: _Given, listeners: Iterable[EgressListener]) -> Iterator[PortScope]:
    for listener in listeners:
        if listener.port is not None:
            port = listener.port
            yield PortScope(
                number=port.number,
                protocol=Protocol.HTTP if port.is_forward_proxy else port.speaks,
                scope=given.scope(listener.hosts, _Ports(http=True) if port.is_forward_proxy else _only(port.number)),
                origin=given.sidecar.key,
                forward_proxy=port.is_forward_proxy,
                bind=listener.bind,
                bound=listener.capture_mode == "NONE",
            )


@dataclass(frozen=True)
class _Ports:
    """Which ports of services are meant: these alone, or all but these, and of them all or those that may speak HTTP."""

    numbers: Collection[int] = ()
    alone: bool = False
    http: bool = False

    def of(self, service: Service) -> Service | None:
        """Returns a service with those of its ports that are meant, None if it has none of them."""
        ports = tuple(port for port in service.ports if self._has(port))
        if len(ports) == len(service.ports):
            return service
        return replace(service, ports=ports) if ports else None

    def _has(self, port: ServicePort) -> bool:
        return (port.number in self.numbers) == self.alone and (port.protocol.may_be_http or not self.http)


def _only(number: int) -> _Ports:
    return _Ports((number,), alone=True)


def _but(numbers: Collection[int]) -> _Ports:
    return _Ports(numbers)


class _Given:
    """What scopes under one Sidecar are made from."""

    def __init__(self, snapshot: Snapshot, namespace: str, sidecar: Sidecar, chosen: frozenset[Key]) -> None:
        self.sidecar = sidecar
        self._namespace = namespace
        self._services = seen_services(snapshot, namespace)
        self._rules = ScopedRules(snapshot, namespace, chosen)
        self._routes = snapshot.routing
        self._mesh_config = snapshot.mesh_config
        policy = sidecar.spec.outbound_traffic_policy
        self._registry_only = policy.mode == "REGISTRY_ONLY" if policy else snapshot.registry_only
        mesh = self._mesh_config.spec if self._mesh_config and not policy else None
        self._looks_up_hosts = mesh is not None and mesh.looks_up_hosts
        proxy = policy.egress_proxy if policy else None
        self._elsewhere = _elsewhere(proxy, sidecar.namespace) if proxy else None
        self._limit_servers = limit_servers(namespace, snapshot.rate_limits)

    def scope(self, hosts: tuple[str, ...], ports: _Ports) -> Scope:
        """Returns what one listener selects."""
        selected = egress_hosts(hosts, self._namespace)
        rules = [
            one
            for one in self._routes
            if selected.concerns(one.namespace) and selected.virtual_service(host_names(one), one.namespace)
        ]
        routes = VirtualServiceIndex(rules, self._namespace)
        services = [self._scoped(one, routes) for one in self._selected(selected, ports)]
        return Scope(
            namespace=self._namespace,
            services=tuple(services),
            literal_hosts=tuple(literal_hosts(routes, services)),
            claims=tuple(rule.key for rule in routes.rules),
            registry_only=self._registry_only,
            elsewhere=self._elsewhere,
            looks_up_hosts=self._looks_up_hosts,
            led=tuple(self._led(routes.rules, services)),
            narrowed=True,
            mesh_config=self._mesh_config,
        )

    def _selected(self, hosts: EgressHosts, ports: _Ports) -> Iterator[Service]:
        for host, service in self._services.items():
            selected = hosts.concerns(service.namespace) and hosts.service(host.lower(), service.namespace)
            if selected and (one := ports.of(service)):
                yield one

    def _scoped(self, service: Service, routes: VirtualServiceIndex | None) -> ScopedService:
        return self._rules.scoped(service, routes.claimants(service.host) if routes else ())

    def _led(self, rules: Sequence[VirtualService], services: Iterable[ScopedService]) -> Iterator[ScopedService]:
        """Yields where routes lead, what takes connections to elsewhere, and servers that count requests, with the ports that
        are not called anyway.
        """
        called = {one.service.host: {port.number for port in one.service.ports} for one in services}
        for host, ports in sorted(self._wanted(rules).items()):
            if service := self._services.get(host):
                there = _Ports(ports, alone=True).of(service) if ports else service
                if there and (one := _but(called.get(host, ())).of(there)):
                    yield self._scoped(one, None)

    def _wanted(self, rules: Sequence[VirtualService]) -> Mapping[Host, set[int]]:
        """Returns the hosts that are led to, each with its ports; without any all of them may be meant."""
        whole: set[Host] = set()
        wanted: dict[Host, set[int]] = {}
        for rule in rules:
            for _, destination in all_destinations(rule.spec):
                host = resolve(destination.host, rule.namespace)
                numbers = wanted.setdefault(host, set())
                if destination.port:
                    numbers.add(destination.port.number)
                else:
                    whole.add(host)
        elsewhere = {(self._elsewhere.host, self._elsewhere.port)} if self._elsewhere else set()
        for host, port in elsewhere | self._limit_servers:
            wanted.setdefault(host, set()).add(port)
        return {host: set() if host in whole else numbers for host, numbers in wanted.items()}


def _elsewhere(proxy: Destination, namespace: str) -> Elsewhere:
    port = proxy.port.number if proxy.port else 0  # refused without one when it was written
    return Elsewhere(resolve(proxy.host, namespace), port, proxy.subset)
