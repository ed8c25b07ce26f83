"""What routes depend on, taken out of a scope: which services speak HTTP on which port, under which names, by whose rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from mizzen.compile import names
from mizzen.compile.clusters import balancers
from mizzen.compile.destinations import elsewhere_cluster
from mizzen.compile.routes import RoutesView, Source, VirtualHostView, domains_of, mentioned_labels
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Host, Instance, Service, ServicePort, VirtualService
from mizzen.mesh.scope import DEFAULT_HTTP_PORT, Scope, ScopedService
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.resources.virtual_service import destinations

# Who calls is only asked where there are rules; without them the callers of all namespaces share what is built.
_ANYBODY = Source("")


def asked_labels(scope: Scope) -> frozenset[str]:
    """Returns the names of the labels that VirtualServices in the scope ask of their callers."""
    return mentioned_labels({rule.key: rule for rules in scope.claimants for rule in rules}.values())


def source_of(instance: Instance, asked: frozenset[str]) -> Source:
    """Returns what of an instance its routes may depend on: only the labels that some rule asks for."""
    return Source(instance.namespace, tuple(label for label in instance.labels if label[0] in asked))


class _Asked(NamedTuple):
    """Whose routes to services are asked for: a port, who calls, and the domains if they are not the services' own."""

    port: int
    source: Source
    domains: tuple[str, ...] = ()
    with_port: bool = False
    proxyless: bool = False


class RouteViews:
    """The views of all routes that instances in a scope may have, at one seat; made once for a scope.

    ``before`` are those of a scope that differs in VirtualServices alone, at the same seat.
    """

    def __init__(self, scope: Scope, seat: Seat = ALONE, before: RouteViews | None = None) -> None:
        self._scope = scope
        self._seat = seat
        self._services = {scoped.service.host: scoped for scoped in scope.services}
        self.ports: dict[Host, tuple[int, ...]] = before.ports if before else _ports(scope)
        self._ranks = {key: rank for rank, key in enumerate(scope.claims)}
        self._hashed: dict[Host, frozenset[str]] = before._hashed if before else _hashed(scope, seat)  # noqa: SLF001 - one thing, a scope later
        self._made: dict[_Asked, dict[Host, tuple[ScopedService, VirtualHostView]]] = {}
        self._made_before = before._made if before else {}  # noqa: SLF001
        self._destinations: dict[Key, list[Host]] = {}
        self.by_port: Mapping[int, Sequence[Host]] = before.by_port if before else _by_port(scope, _shares_listener)
        self.undeclared: Sequence[tuple[Host, int]] = before.undeclared if before else _undeclared(scope)
        """Ports that declare no protocol, of services that have a listener of their own."""

    @cached_property
    def all_by_port(self) -> Mapping[int, Sequence[Host]]:
        """The services of which requests are read, by port, whatever listener reads them."""
        return _by_port(self._scope, lambda _, port: port.protocol.may_be_http) if self.undeclared else self.by_port

    def of_port(self, number: int, source: Source) -> RoutesView:
        """The routes of all services on a port: those of a listener that all of them share (Istio 2.15)."""
        hosts = self._all(self.by_port.get(number, ()), _Asked(number, source))
        hosts += [self._literal(host, port, rules, source) for host, port, rules in self._literals() if port == number]
        ordered = self._in_order_of_claim(hosts)
        return self._shared(str(number), ordered)

    def of_services(self, ports: Iterable[tuple[Host, int]], source: Source) -> list[RoutesView]:
        """The routes of ports of services, whatever a request calls them: those of their own loopback ports."""
        hosts: dict[int, list[Host]] = {}
        for host, number in ports:
            hosts.setdefault(number, []).append(host)
        return [
            view.alone for number, group in hosts.items() for view in self._all(group, _Asked(number, source, ("*",)))
        ]

    def of_forward_proxy(self, source: Source, name: str = names.HTTP_PROXY) -> RoutesView:
        """The routes of all services on all ports, told apart by the port in the request's authority (Istio 2.16).

        Hosts that no service has are served here too; Istio leaves them out, but a sidecar without traffic capture has
        no other place for them.
        """
        hosts = [
            view
            for number, group in self.all_by_port.items()
            for view in self._all(group, _Asked(number, source, with_port=True))
        ]
        hosts += [self._literal(host, port, rules, source, with_port=True) for host, port, rules in self._literals()]
        return self._shared(name, self._in_order_of_claim(hosts), ignore_port=False)

    def _shared(self, name: str, hosts: tuple[VirtualHostView, ...], *, ignore_port: bool = True) -> RoutesView:
        """The routes of a listener that takes requests for any host, and knows some."""
        return RoutesView(
            self._seat.named(name),
            hosts,
            passthrough=True,
            blocked=self._scope.registry_only,
            ignore_port=ignore_port,
            elsewhere=elsewhere_cluster(self._scope, self._seat),
        )

    def of_proxyless(self, host: Host, number: int, source: Source) -> RoutesView:
        """The routes of one port of one service, for a gRPC client that asks for exactly these."""
        (view,) = self._all([host], _Asked(number, source, ("*",), proxyless=True))
        return RoutesView(names.outbound_cluster(number, "", host), (view,))

    def leading(
        self, rules: tuple[VirtualService, ...]
    ) -> tuple[tuple[tuple[Host, tuple[int, ...]], ...], frozenset[str]]:
        """Returns the ports of all services to which rules lead, and which of their clusters choose endpoints by hash."""
        return self._destination_ports(rules), self._hashed_among(self._hosts(rules))

    def _literals(self) -> Iterable[tuple[Host, int, tuple[VirtualService, ...]]]:
        return ((one.host, one.port, one.virtual_services) for one in self._scope.literal_hosts)

    def _in_order_of_claim(self, hosts: Sequence[VirtualHostView]) -> tuple[VirtualHostView, ...]:
        """Returns the hosts in the order in which Istio gives out domains: by VirtualService, then those without one."""

        def claim(view: VirtualHostView) -> tuple[int, bool, Host, int]:
            rules = view.virtual_services
            rank = self._ranks[rules[0].key] if rules else len(self._ranks)
            return (rank, view.origin is not None, view.host, view.port)

        return tuple(sorted(hosts, key=claim))

    def _all(self, hosts: Iterable[Host], asked: _Asked) -> list[VirtualHostView]:
        """Returns a view of each service, the same as before where nothing has changed."""
        made, before = self._made.setdefault(asked, {}), self._made_before.get(asked, {})
        found = []
        for host in hosts:
            scoped = self._services[host]
            known = made.get(host) or before.get(host)
            if known is None or known[0] is not scoped:
                known = (scoped, self._service(scoped, asked))
            made[host] = known
            found.append(known[1])
        return found

    def _service(self, scoped: ScopedService, asked: _Asked) -> VirtualHostView:
        service, rules, domains = scoped.service, scoped.virtual_services, asked.domains
        client = self._scope.namespace
        own = domains or _domains(service, client)
        if not domains and service.namespace == client:
            own += tuple(alias.lower() for alias in service.aliases)
        return VirtualHostView(
            host=service.host,
            port=asked.port,
            domains=_with_port(own, asked.port) if asked.with_port else own,
            source=asked.source if rules else _ANYBODY,
            virtual_services=rules,
            ports=self._destination_ports(rules),
            hashed=self._hashed_among({service.host, *self._hosts(rules)}),
            origin=service.origin,
            proxyless=asked.proxyless,
            seat=self._seat,
            mesh_config=self._scope.mesh_config,
        )

    def _literal(
        self, host: Host, port: int, rules: tuple[VirtualService, ...], source: Source, *, with_port: bool = False
    ) -> VirtualHostView:
        domains = _with_port((host,), port) if with_port else (host,)
        ports, hashed = self.leading(rules)
        mesh = self._scope.mesh_config
        return VirtualHostView(host, port, domains, source, rules, ports, hashed, seat=self._seat, mesh_config=mesh)

    def _destination_ports(self, rules: tuple[VirtualService, ...]) -> tuple[tuple[Host, tuple[int, ...]], ...]:
        """Returns the ports of every service to which rules lead."""
        return tuple((host, self.ports[host]) for host in sorted(self._hosts(rules)) if host in self.ports)

    def _hashed_among(self, hosts: set[Host]) -> frozenset[str]:
        """Returns the clusters of these hosts that choose endpoints by hash: a retry of what they were sent stays there."""
        if not self._hashed:
            return frozenset()
        return frozenset().union(*(self._hashed[host] for host in hosts if host in self._hashed))

    def _hosts(self, rules: tuple[VirtualService, ...]) -> set[Host]:
        return {host for rule in rules for host in self._destinations_of(rule)}

    def _destinations_of(self, rule: VirtualService) -> list[Host]:
        if rule.key not in self._destinations:
            self._destinations[rule.key] = [
                resolve(destination.host, rule.namespace)
                for http in rule.spec.http
                for _, destination in destinations(http)
            ]
        return self._destinations[rule.key]


def _domains(service: Service, client: str) -> tuple[str, ...]:
    if not service.entry:
        return domains_of(service.host, service.name, service.namespace, client, service.address)
    addresses = [address for address in (service.address, *service.addresses) if address and "/" not in address]
    return (service.host, f"{service.host}.", *dict.fromkeys(addresses))


def _ports(scope: Scope) -> dict[Host, tuple[int, ...]]:
    found: dict[Host, tuple[int, ...]] = {}
    for one in scope.reached:
        numbers = tuple(port.number for port in one.service.ports)
        found[one.service.host] = tuple(dict.fromkeys((*found.get(one.service.host, ()), *numbers)))
    return found


def _hashed(scope: Scope, seat: Seat) -> dict[Host, frozenset[str]]:
    """Returns the clusters that choose endpoints by hash, by host."""
    found: dict[Host, frozenset[str]] = {}
    for scoped in scope.reached:
        if clusters := frozenset(name for name, given in balancers(scoped, seat) if given.consistent_hash):
            found[scoped.service.host] = found.get(scoped.service.host, frozenset()) | clusters
    return found


def _by_port(scope: Scope, chosen: Callable[[Service, ServicePort], bool]) -> dict[int, list[Host]]:
    """Returns the services with ports that are chosen, by port, in order."""
    found: dict[int, list[Host]] = {}
    for scoped in scope.services:
        for port in scoped.service.ports:
            if chosen(scoped.service, port) and port.number not in names.RESERVED_PORTS:
                found.setdefault(port.number, []).append(scoped.service.host)
    return dict(sorted(found.items()))


def _shares_listener(service: Service, port: ServicePort) -> bool:
    """Tells whether requests to a port come in by the listener that services share on its number."""
    if port.protocol is Protocol.UNDECLARED:
        addresses = service.called_at
        return service.entry and (not addresses or any("/" in address for address in addresses))
    return port.protocol.is_http


def _undeclared(scope: Scope) -> list[tuple[Host, int]]:
    return [
        (scoped.service.host, port.number)
        for scoped in scope.services
        for port in scoped.service.ports
        if port.protocol is Protocol.UNDECLARED and any("/" not in address for address in scoped.service.called_at)
    ]


def _with_port(domains: tuple[str, ...], port: int) -> tuple[str, ...]:
    """The names as a forward proxy sees them: with their port, and for port 80 without as well (Istio 2.16)."""
    # Envoy takes a wildcard at the beginning of a domain and a port at its end together: `*.example.com:80`.
    named = tuple(f"{domain}:{port}" for domain in domains)
    return (*domains, *named) if port == DEFAULT_HTTP_PORT else named
