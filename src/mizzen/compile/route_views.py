"""What routes depend on, taken out of a scope: which services speak HTTP on which port, under which names, by whose rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property

from mizzen.compile import names
from mizzen.compile.clusters import balancers
from mizzen.compile.destinations import requests_elsewhere
from mizzen.compile.domains import at_port, domains_of, in_order_of_claim, literal, settled
from mizzen.compile.route_memory import Asked, Heard, RouteMemory, Table
from mizzen.compile.routes import RoutesView, Source, VirtualHostView, mentioned_labels
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Host, Instance, Service, ServicePort, VirtualService
from mizzen.mesh.rerouting import Changes, Claimed, rerouted
from mizzen.mesh.scope import LiteralHost, Scope, ScopedService
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.resources.virtual_service import destinations

# Who calls is only asked where there are rules; without them the callers of all namespaces share what is built.
_ANYBODY = Source("")


def source_of(instance: Instance, asked: frozenset[str]) -> Source:
    """Returns what of an instance its routes may depend on: only the labels that some rule asks for."""
    return Source(instance.namespace, tuple(label for label in instance.labels if label[0] in asked))


class RouteViews:
    """The views of all routes that instances in a scope may have, at one seat; made once for a scope.

    ``before`` are those of a scope that differs in VirtualServices alone, at the same seat: where nothing has changed, what these
    have is taken over.
    """

    def __init__(self, scope: Scope, seat: Seat = ALONE, before: RouteViews | None = None) -> None:
        self._scope = scope
        self._seat = seat
        self._services = {scoped.service.host: scoped for scoped in scope.services}
        self.ports: dict[Host, tuple[int, ...]] = before.ports if before else _ports(scope)
        self._hashed: dict[Host, frozenset[str]] = before._hashed if before else _hashed(scope, seat)  # noqa: SLF001 - one thing, a scope later
        self._destinations: dict[Key, list[Host]] = {}
        self.by_port: Mapping[int, Sequence[Host]] = before.by_port if before else _by_port(scope, _shares_listener)
        self.undeclared: Sequence[tuple[Host, int]] = before.undeclared if before else _undeclared(scope)
        """Ports that declare no protocol, of services that have a listener of their own."""
        changes = rerouted(scope, before._scope) if before else None  # noqa: SLF001
        self.rerouted: Set[Host] = self._services.keys() if changes is None else {now.host for now, _ in changes}
        """The services whose routes may be others than before, and literal hosts."""
        self._memory: RouteMemory = (
            before._memory.after(None if changes is None else self.rerouted) if before else RouteMemory()  # noqa: SLF001
        )
        self.asked: frozenset[str] = _asked_now(scope, changes, before.asked if before else frozenset())
        """The names of the labels that VirtualServices ask of their callers."""

    @cached_property
    def all_by_port(self) -> Mapping[int, Sequence[Host]]:
        """The services of which requests are read, by port, whatever listener reads them."""
        return _by_port(self._scope, lambda _, port: port.protocol.may_be_http) if self.undeclared else self.by_port

    @property
    def rerouted_ports(self) -> set[int]:
        """The ports on which there are such hosts."""
        literals = {one.port for one in self._scope.literal_hosts if one.host in self.rerouted}
        return literals.union(*(self.ports.get(host, ()) for host in self.rerouted))

    def of_port(self, number: int, source: Source) -> RoutesView:
        """The routes of all services on a port: those of a listener that all of them share (Istio 2.15)."""
        literals = [one for one in self._scope.literal_hosts if one.port == number]
        table = self._table({number: self.by_port.get(number, ())}, literals, source)
        return self._shared(str(number), table)

    def of_services(self, ports: Iterable[tuple[Host, int]], source: Source) -> list[RoutesView]:
        """The routes of ports of services, whatever a request calls them: those of their own loopback ports."""
        self._memory.asking.add(source)
        hosts: dict[int, list[Host]] = {}
        for host, number in ports:
            hosts.setdefault(number, []).append(host)
        return [
            view.alone for number, group in hosts.items() for view in self._all(group, Asked(number, source, ("*",)))
        ]

    def of_forward_proxy(self, source: Source, name: str = names.HTTP_PROXY) -> RoutesView:
        """The routes of all services on all ports, told apart by the port in the request's authority (Istio 2.16).

        Hosts that no service has are served here too; Istio leaves them out, but a sidecar without traffic capture has
        no other place for them.
        """
        table = self._table(self.all_by_port, self._scope.literal_hosts, source, with_port=True)
        return self._shared(name, table, ignore_port=False)

    def _table(
        self,
        by_port: Mapping[int, Sequence[Host]],
        literals: Sequence[LiteralHost],
        source: Source,
        *,
        with_port: bool = False,
    ) -> Table:
        """Returns the virtual hosts of all services on some ports, and of literal hosts, each with the domains that it gets."""
        self._memory.asking.add(source)
        heard, tables = Heard(source, tuple(by_port), with_port), self._memory.tables
        if heard in tables:
            return tables[heard]
        if earlier := self._memory.outdated.get(heard):
            # The same VirtualServices claim the same hosts, so that all have the domains that they had.
            by_port = {number: [host for host in hosts if host in self.rerouted] for number, hosts in by_port.items()}
            literals = [one for one in literals if one.host in self.rerouted]
            again = {
                (view.host, view.port): view for view in self._hosts(by_port, literals, source, with_port=with_port)
            }
            served = again.keys() & earlier.keys()
            tables[heard] = earlier | {at: replace(again[at], domains=earlier[at].domains) for at in served}
        else:
            ordered = in_order_of_claim(self._hosts(by_port, literals, source, with_port=with_port), self._scope.claims)
            tables[heard] = {(view.host, view.port): view for view in settled(ordered)}
        return tables[heard]

    def _hosts(
        self,
        by_port: Mapping[int, Sequence[Host]],
        literals: Iterable[LiteralHost],
        source: Source,
        *,
        with_port: bool,
    ) -> list[VirtualHostView]:
        """Returns the views of services and of literal hosts."""
        hosts = [
            view
            for number, group in by_port.items()
            for view in self._all(group, Asked(number, source, with_port=with_port))
        ]
        return hosts + [self._literal(one, source, with_port=with_port) for one in literals]

    def _shared(self, name: str, table: Table, *, ignore_port: bool = True) -> RoutesView:
        """The routes of a listener that takes requests for any host, and knows some."""
        return RoutesView(
            self._seat.named(name),
            tuple(table.values()),
            passthrough=True,
            blocked=self._scope.registry_only,
            ignore_port=ignore_port,
            elsewhere=requests_elsewhere(self._scope, self._seat),
        )

    def of_proxyless(self, host: Host, number: int, source: Source) -> RoutesView:
        """The routes of one port of one service, for a gRPC client that asks for exactly these."""
        self._memory.asking.add(source)
        (view,) = self._all([host], Asked(number, source, ("*",), proxyless=True))
        return RoutesView(names.outbound_cluster(number, "", host), (view,))

    def leading(
        self, rules: tuple[VirtualService, ...]
    ) -> tuple[tuple[tuple[Host, tuple[int, ...]], ...], frozenset[str]]:
        """Returns the ports of all services to which rules lead, and which of their clusters choose endpoints by hash."""
        return self._destination_ports(rules), self._hashed_among(self._hosts_of(rules))

    def _all(self, hosts: Iterable[Host], asked: Asked) -> list[VirtualHostView]:
        """Returns a view of each service, the same as before where nothing has changed."""
        made, found = self._memory.views.setdefault(asked, {}), []
        for host in hosts:
            scoped = self._services[host]
            known = made.get(host)
            if known is None or known[0] is not scoped:
                known = (scoped, self._service(scoped, asked))
            made[host] = known
            found.append(known[1])
        return found

    def _service(self, scoped: ScopedService, asked: Asked) -> VirtualHostView:
        service, rules, domains = scoped.service, scoped.virtual_services, asked.domains
        client = self._scope.namespace
        own = domains or domains_of(service, client)
        return VirtualHostView(
            host=service.host,
            port=asked.port,
            domains=at_port(own, asked.port) if asked.with_port else own,
            source=asked.source if rules else _ANYBODY,
            virtual_services=rules,
            ports=self._destination_ports(rules),
            hashed=self._hashed_among({service.host, *self._hosts_of(rules)}),
            origin=service.origin,
            proxyless=asked.proxyless,
            seat=self._seat,
            mesh_config=self._scope.mesh_config,
        )

    def _literal(self, one: LiteralHost, source: Source, *, with_port: bool) -> VirtualHostView:
        host, port, rules = one.host, one.port, one.virtual_services
        domains = at_port(literal(host), port) if with_port else literal(host)
        ports, hashed = self.leading(rules)
        mesh = self._scope.mesh_config
        return VirtualHostView(host, port, domains, source, rules, ports, hashed, seat=self._seat, mesh_config=mesh)

    def _destination_ports(self, rules: tuple[VirtualService, ...]) -> tuple[tuple[Host, tuple[int, ...]], ...]:
        """Returns the ports of every service to which rules lead."""
        return tuple((host, self.ports[host]) for host in sorted(self._hosts_of(rules)) if host in self.ports)

    def _hashed_among(self, hosts: set[Host]) -> frozenset[str]:
        """Returns the clusters of these hosts that choose endpoints by hash: a retry of what they were sent stays there."""
        if not self._hashed:
            return frozenset()
        return frozenset().union(*(self._hashed[host] for host in hosts if host in self._hashed))

    def _hosts_of(self, rules: tuple[VirtualService, ...]) -> set[Host]:
        return {host for rule in rules for host in self._destinations_of(rule)}

    def _destinations_of(self, rule: VirtualService) -> list[Host]:
        if rule.key not in self._destinations:
            self._destinations[rule.key] = [
                resolve(destination.host, rule.namespace)
                for http in rule.spec.http
                for _, destination in destinations(http)
            ]
        return self._destinations[rule.key]


def _asked_now(scope: Scope, changes: Changes | None, before: frozenset[str]) -> frozenset[str]:
    """Returns the names of the labels that VirtualServices ask of their callers: as before, if those that have changed do."""
    if changes is not None and _asked_labels(now for now, _ in changes) == _asked_labels(old for _, old in changes):
        return before
    return _asked_labels((*scope.services, *scope.literal_hosts))


def _asked_labels(claimed: Iterable[Claimed]) -> frozenset[str]:
    return mentioned_labels({rule.key: rule for one in claimed for rule in one.virtual_services}.values())


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
