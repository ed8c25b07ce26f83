"""What all sidecars of one namespace, or under one Sidecar, have alike, built from a scope: clusters, endpoints, routes.

An instance of a node proxy has an Outbound of its own, built in the same way for its seat.

An Outbound lives as long as its scope says the same, through snapshots in which nothing changed but endpoints or other
namespaces. A new one takes over from the one before it what is equal, as the same objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mizzen.compile import endpoints, listener_views, listeners, localities
from mizzen.compile.builders import Builders
from mizzen.compile.domains import settled
from mizzen.compile.egress import PortEgress, on_port, port_egresses
from mizzen.compile.http_connections import manners_of
from mizzen.compile.listener_views import Target
from mizzen.compile.listeners import OutboundView, SeatOutboundView
from mizzen.compile.localities import ANYBODY, Caller
from mizzen.compile.memory import Named, by_name, kept
from mizzen.compile.policies import Assigned, Policies, placed
from mizzen.compile.resource import XdsResource
from mizzen.compile.route_views import RouteViews
from mizzen.compile.routes import RoutesView, Source
from mizzen.compile.seats import ALONE, Seat
from mizzen.compile.tcp_routes import TcpRoutes
from mizzen.mesh.model import Capture, DestinationRule, Endpoint, Host, Instance, ServiceId
from mizzen.mesh.rerouting import only_routes_differ
from mizzen.mesh.scope import Scope


class Outbound:
    """The outbound side of a namespace's sidecars, or of one seat of a node proxy."""

    def __init__(
        self,
        scope: Scope,
        builders: Builders,
        before: Outbound | None = None,
        seat: Seat = ALONE,
        *,
        http10: bool = False,
    ) -> None:
        self.scope = scope
        self.seat = seat
        self._builders = builders
        # Most changes are of routes alone: then all that follows from services and DestinationRules is as before.
        same = before if before and only_routes_differ(scope, before.scope) else None
        self.views: RouteViews = RouteViews(scope, seat, same.views if same else None)
        self._ports: tuple[PortEgress, ...] = port_egresses(scope, seat, same._ports if same else ())  # noqa: SLF001
        self._tcp: TcpRoutes = (
            same._tcp.rerouted(scope, self.views.rerouted) if same else TcpRoutes(scope, self.views.ports, seat)  # noqa: SLF001
        )
        self._tcp_routes = [self._tcp, *(one.tcp for one in self._ports)]
        self.asked = frozenset().union(*(one.asked for one in self.all_views))
        self._policies: Policies = (
            same._policies if same else Policies(scope, seat, builders, self._tcp_routes, self._ports)  # noqa: SLF001
        )
        self.clusters: Named = kept(self._policies.clusters, before.clusters if before else None)
        self._served: tuple[object, frozenset[str], Policies] | None = before._served if before else None  # noqa: SLF001
        self._assigned_to: dict[Caller, Named] = before._assigned_to if before else {}  # noqa: SLF001 - one thing, a scope later
        self._assigned_before: dict[Caller, Named] = before._assigned_before if before else {}  # noqa: SLF001
        self._placed_clusters: dict[Caller, Named] = same._placed_clusters if same else {}  # noqa: SLF001
        self._at_gateway: dict[Caller, Named] = same._at_gateway if same else {}  # noqa: SLF001
        self._dialled_clusters: dict[Capture, Named] = same._dialled_clusters if same else {}  # noqa: SLF001
        self._own_routes: dict[tuple[Source, tuple[tuple[Host, int], ...], bool], Named] = {}
        self._own_routes_before = same._own_routes if same else {}  # noqa: SLF001
        self._port_routes: dict[Source, Named] = {}
        self._port_routes_before = same._port_routes if same else {}  # noqa: SLF001
        self._rerouted = frozenset().union(*(one.rerouted for one in self.all_views))
        self._filters: dict[Source, Named] = {}
        self._sni_listeners: dict[Source, Named] = {}
        self.targets: Mapping[tuple[Host, int], Target] = kept(
            self._policies.targets, before.targets if before else None
        )
        self.manners = manners_of(scope.mesh_config, http10=http10)
        self._requests_elsewhere = self.manners if scope.looks_up_hosts else None
        self._taken = self._tcp_routes[0].taken()
        as_before = before is not None and self._listens_as(before)
        self._listeners: Named | None = before._listeners if before and as_before else None  # noqa: SLF001

    def _listens_as(self, before: Outbound) -> bool:
        alike = before.targets is self.targets and before.manners == self.manners and before._taken == self._taken
        reading = before._requests_elsewhere == self._requests_elsewhere
        return alike and reading and before._egress() == self._egress()

    @property
    def all_views(self) -> tuple[RouteViews, ...]:
        """The views of all routes: those of ports that are scopes by themselves as well."""
        return (self.views, *(one.views for one in self._ports))

    @property
    def rules(self) -> Mapping[Host, tuple[DestinationRule, ...]]:
        """The DestinationRules that calls obey, by host."""
        return self._policies.rules

    @property
    def inbound_rules(self) -> Mapping[Host, tuple[DestinationRule, ...]]:
        """The DestinationRules that members obey when they are called, by host."""
        return self._policies.inbound_rules

    def dialled_clusters(self, capture: Capture) -> Named:
        """Returns the clusters of services that are wherever a client wants to go."""
        if capture not in self._dialled_clusters:
            explicit = capture is Capture.EXPLICIT
            views = [
                replace(view, forwarded=explicit and view.port.protocol.may_be_http) for view in self._policies.dialled
            ]
            self._dialled_clusters[capture] = by_name(map(self._builders.cluster, views))
        return self._dialled_clusters[capture]

    @property
    def name_listeners(self) -> Named:
        """The listeners inside the proxy that look up server names."""
        return self._policies.name_listeners

    def caller(self, instance: Instance) -> Caller:
        """Returns what of an instance its endpoints depend on; where no policy asks for it all instances are alike."""
        return localities.caller_of(instance, self._policies.asked) if self._policies.asks else ANYBODY

    def placed_clusters(self, caller: Caller) -> Named:
        """Returns the clusters that hold endpoints by name, as a caller prefers these."""
        if caller not in self._placed_clusters:
            views = (placed(view, policy, caller) for view, policy in self._policies.placed)
            self._placed_clusters[caller] = by_name(map(self._builders.cluster, views))
        return self._placed_clusters[caller]

    def at_gateway(self, caller: Caller) -> Named:
        """Returns the clusters that are others at a gateway."""
        if caller not in self._at_gateway:
            views = (
                replace(placed(view, policy, caller), at_gateway=True) for view, policy in self._policies.with_secrets
            )
            self._at_gateway[caller] = by_name(map(self._builders.cluster, views))
        return self._at_gateway[caller]

    def endpoints(
        self,
        ready: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]],
        served: frozenset[str] = frozenset(),
        caller: Caller = ANYBODY,
    ) -> Named:
        """Returns the load assignments of all clusters, an empty one where no endpoint is ready (Envoy waits for it).

        ``served`` are the instances that the same proxy serves.
        """
        known = (ready, served, self._policies)
        if self._served != known:
            self._served = known
            self._assigned_before, self._assigned_to = self._assigned_to, {}
        if caller not in self._assigned_to:
            made = by_name(self._assignments(ready, self._policies.assigned, caller, served))
            self._assigned_to[caller] = kept(made, self._assigned_before.get(caller))
        return self._assigned_to[caller]

    def published_endpoints(
        self, ready: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]], caller: Caller = ANYBODY
    ) -> Named:
        """Returns the load assignments that are others for callers who stand on the host, outside all networks of members.

        What a published port takes from there is plaintext: nothing else tells it who is in the mesh (listeners.py).
        """
        published = {
            key: endpoints.from_host(found) for key, found in ready.items() if any(one.published for one in found)
        }
        concerned = [one for one in self._policies.assigned if (one.service, one.port) in published]
        return by_name(self._assignments(published, concerned, caller))

    def _assignments(
        self,
        ready: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]],
        assigned: Iterable[Assigned],
        caller: Caller,
        served: frozenset[str] = frozenset(),
    ) -> Iterator[XdsResource]:
        for one in assigned:
            spread = localities.spread_for(one.locality, caller) if one.locality else None
            found = ready.get((one.service, one.port), ())
            view = endpoints.endpoints_view(one.cluster, found, one.labels, served, self.seat.caller, spread)
            yield self._builders.endpoints(view)

    def captured_listeners(self) -> Named:
        """Returns the listeners for redirected connections (transparent capture)."""
        if self._listeners is None:
            own = self._egress()
            views = (
                *listener_views.transparent(self.targets, self.seat, self.manners, self._taken),
                *(one for one in own if not one.bound),
            )
            requests = self._requests_elsewhere
            if self.seat.shared:
                made = [self._builders.seat_listener(SeatOutboundView(self.seat, views, requests))]
            else:
                made = [listeners.build_virtual_outbound(requests), *map(self._builders.listener, views)]
            self._listeners = by_name([*made, *(self._builders.listener(one) for one in own if one.bound)])
        return self._listeners

    def own_listeners(self) -> list[XdsResource]:
        """Returns the listeners of ports that a Sidecar has its proxies open (explicit capture)."""
        return [self._builders.listener(one) for one in self._egress(Capture.EXPLICIT)]

    def _egress(self, capture: Capture = Capture.TRANSPARENT) -> list[OutboundView]:
        return [view for one in self._ports if (view := one.listener(capture, self.manners))]

    def filters(self, source: Source) -> Named:
        """Returns the TCP routes: of every service, for a proxy asks only for those of its listeners."""
        if source not in self._filters:
            views = [view for one in self._tcp_routes for view in one.views(source)]
            self._filters[source] = by_name(map(self._builders.tcp_route, views))
        return self._filters[source]

    def sni_listeners(self, source: Source) -> Named:
        """Returns the listeners inside the proxy that read server names, one for each TLS port."""
        if source not in self._sni_listeners:
            views = [view for one in self._tcp_routes for view in one.sni_listeners(source)]
            self._sni_listeners[source] = by_name(map(self._builders.sni_listener, views))
        return self._sni_listeners[source]

    def port_routes(self, source: Source) -> Named:
        """Returns the routes of the listeners that services share, one for each port (transparent capture)."""
        if source not in self._port_routes:
            before = self._port_routes_before.get(source, {})
            concerned = self.views.rerouted_ports if before else self.views.by_port
            views = [self.views.of_port(number, source) for number in concerned if number in self.views.by_port]
            views += self.views.of_services(self._concerned(self.views.undeclared, before), source)
            views += [view for one in self._ports for view in one.routes(source)]
            self._port_routes[source] = {**before, **by_name(map(self._builders.routes, views))}
        return self._port_routes[source]

    def own_routes(self, source: Source, ports: tuple[tuple[Host, int], ...], *, forward_proxy: bool) -> Named:
        """Returns the routes of loopback ports that lead to one service each, and of the forward proxy."""
        key = (source, ports, forward_proxy)
        if key not in self._own_routes:
            before = self._own_routes_before.get(key, {})
            views = self._routes_of_services(self._concerned(ports, before), source)
            if forward_proxy:
                views.append(self._forward_proxy(source))
            views += [view for one in self._ports if not one.at_services for view in one.routes(source)]
            self._own_routes[key] = {**before, **by_name(map(self._builders.routes, views))}
        return self._own_routes[key]

    def _concerned(self, ports: Sequence[tuple[Host, int]], before: Named) -> Sequence[tuple[Host, int]]:
        """Returns the ports of services whose routes may be others than ``before``: all, if there are none."""
        return [port for port in ports if port[0] in self._rerouted] if before else ports

    def _routes_of_services(self, ports: Iterable[tuple[Host, int]], source: Source) -> list[RoutesView]:
        by_views: dict[int, tuple[RouteViews, list[tuple[Host, int]]]] = {}
        for called in ports:
            if views := on_port(self._ports, self.views, called):
                by_views.setdefault(id(views), (views, []))[1].append(called)
        return [route for views, group in by_views.values() for route in views.of_services(group, source)]

    def _forward_proxy(self, source: Source) -> RoutesView:
        main = self.views.of_forward_proxy(source)
        ports = [one.views.of_forward_proxy(source) for one in self._ports if one.at_services]
        return replace(main, hosts=settled(host for one in (main, *ports) for host in one.hosts)) if ports else main
