"""Puts the parts together: (proxy, snapshot) to all xDS resources of the proxy.

A proxy has what each of its instances has: a sidecar those of one, a node proxy those of all that run on its host, told
apart by their seats. What an instance may call is what its namespace sees, or what its Sidecar selects of it.

Each part is a pure function of its view, and the Compiler remembers what it built from which view. Two proxies with equal
views share the encoded resource; a new snapshot re-makes only what has a new view; what a proxy has as before is given as the
same objects as before. A Compiler that has just started gives the same answer as one that has run for a year.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from mizzen.compile import clusters, elsewhere, gateways, listener_views, listeners, proxyless
from mizzen.compile.callers import Outbounds
from mizzen.compile.limits import Limits
from mizzen.compile.listener_views import Target
from mizzen.compile.listeners import OutboundView
from mizzen.compile.memory import Named, by_name, kept, remember
from mizzen.compile.outbound import Outbound
from mizzen.compile.patches.patch import Patches, PatchId
from mizzen.compile.patches.places import Subject
from mizzen.compile.patches.selecting import Selection, reads_inbound
from mizzen.compile.patches.stage import Patcher
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, Resources, XdsResource
from mizzen.compile.route_views import source_of
from mizzen.compile.seats import seat_of
from mizzen.compile.serving import says_how_served
from mizzen.mesh.ingress import with_ingress
from mizzen.mesh.model import Capture, Instance, Proxy, RateLimit, Sidecar, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.rate_limits import limit_of

# An instance by the proxy that serves it: it may change from one to another, and for a while both have it.
_Served: TypeAlias = tuple[str, str]


class _Serving(NamedTuple):
    """What of policy says how requests to an instance are taken: a Sidecar, patches that are for ``patched`` requests, a limit."""

    sidecar: Sidecar | None
    patched: bool
    limit: RateLimit | None

    @property
    def reads(self) -> bool:
        """Whether requests have to be read even where neighbours call each other inside a proxy."""
        return self.patched or self.limit is not None


@dataclass(frozen=True)
class _Compiled:
    """What was made for an instance, and what from: the last of these serves as long as they stay the same."""

    instance: Instance
    serving: _Serving
    outbound: Outbound
    trust_domain: str
    resources: Resources
    listeners: dict[OutboundView, XdsResource]
    ports: tuple[tuple[str, int], ...]


class Compiler:
    """Compiles proxies; keep one for as long as the process lives, so that it has something to remember."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._outbounds = Outbounds()
        self._compiled: dict[_Served, _Compiled] = {}
        self._whole: dict[str, tuple[list[Resources], Resources]] = {}
        self._for_grpc: dict[str, Resources] = {}
        self._inbound_cluster = remember(clusters.build_inbound_cluster)
        self._passthrough = remember(elsewhere.build_passthrough)
        self._dynamic = remember(elsewhere.build_dynamic)
        self._inbound_listener = remember(listeners.build_inbound)
        self._limits = Limits()
        self._inside_listener = remember(listeners.build_inside)
        self._proxyless = proxyless.Builder()
        self._gateways = gateways.Builder()
        self._selection = Selection()
        self._patcher = Patcher()

    def compile(self, proxy: Proxy, snapshot: Snapshot) -> Resources:
        """Returns all resources of a proxy, by type and name."""
        if snapshot is not self._snapshot:
            self._turn_to(snapshot)
        if proxy.kind is ProxyKind.PROXYLESS:
            return self._compile_proxyless(proxy.namespace, snapshot)
        if proxy.kind is ProxyKind.GATEWAY:
            return self._compile_gateway(proxy, snapshot)
        served = _neighbours(proxy)
        parts = [self._compile_instance(proxy, instance, served, snapshot) for instance in proxy.instances]
        return parts[0] if proxy.kind is ProxyKind.SIDECAR else self._together(proxy.id, parts)

    def _turn_to(self, snapshot: Snapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        self._outbounds.turn_to(snapshot, before)
        served = {(proxy.id, one.id) for proxy in snapshot.proxies.values() for one in proxy.instances}
        self._compiled = {key: one for key, one in self._compiled.items() if key in served}
        self._gateways.keep(snapshot.proxies)
        self._patcher.keep(served)
        self._whole = {name: one for name, one in self._whole.items() if name in snapshot.proxies}

    def _together(self, proxy: str, parts: list[Resources]) -> Resources:
        """Returns the resources of all instances of a proxy: of each type the same object for as long as it is equal."""
        earlier, before = self._whole.get(proxy, (None, {}))
        if earlier is not None and [*map(id, earlier)] == [*map(id, parts)]:
            return before
        whole: Resources = {
            type_url: kept(_union(part[type_url] for part in parts), before.get(type_url))
            for type_url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES, FILTERS)
        }
        self._whole[proxy] = (parts, whole)
        return whole

    def _compile_proxyless(self, namespace: str, snapshot: Snapshot) -> Resources:
        outbound = self._outbounds.of_namespace(snapshot, namespace)
        made = self._proxyless.build(outbound.scope, outbound.all_views, snapshot)
        before = self._for_grpc.get(namespace, {})
        resources = {type_url: kept(named, before.get(type_url)) for type_url, named in made.items()}
        self._for_grpc[namespace] = resources
        return resources

    def _compile_gateway(self, proxy: Proxy, snapshot: Snapshot) -> Resources:
        (instance,) = proxy.instances
        outbound = self._outbounds.of(snapshot, instance)
        assigned = self._outbounds.endpoints(snapshot, outbound, outbound.caller(instance))
        made = self._gateways.build(instance, outbound, assigned, snapshot)
        subject = Subject(instance, is_gateway=True)
        return self._patched(proxy, subject, made, self._selection.patches(snapshot, subject))

    def _patched(self, proxy: Proxy, subject: Subject, made: Resources, patches: Patches) -> Resources:
        key = (proxy.id, subject.instance.id)
        if not patches:
            self._patcher.forget(key)
            return made
        return self._patcher.patched(key, subject, made, patches)

    def hits(self, proxy: Proxy) -> frozenset[PatchId]:
        """Returns the patches of EnvoyFilters that changed something of a proxy when it was last compiled."""
        return frozenset().union(*(self._patcher.hits((proxy.id, one.id)) for one in proxy.instances))

    def _compile_instance(
        self, proxy: Proxy, instance: Instance, served: frozenset[str], snapshot: Snapshot
    ) -> Resources:
        """Returns what an instance has in its proxy, with as little work as its changes ask for."""
        sidecar = self._outbounds.sidecar_of(instance)
        outbound = self._outbounds.of(snapshot, instance, sidecar, seat_of(proxy.kind, instance))
        instance = with_ingress(instance, sidecar)
        subject = Subject(instance, seat=outbound.seat)
        patches = self._selection.patches(snapshot, subject)
        limit = limit_of(instance, snapshot.rate_limits)
        serving = _Serving(says_how_served(sidecar), reads_inbound(patches), limit)
        key = (proxy.id, instance.id)
        before = self._compiled.get(key)
        assigned = self._outbounds.endpoints(snapshot, outbound, outbound.caller(instance), served)
        if before is None or before.serving != serving or not _still(before, instance, outbound, snapshot):
            compiled = self._make(instance, serving, outbound, assigned, snapshot, before)
        elif before.resources[ENDPOINTS] is not assigned:
            resources = {**before.resources, ENDPOINTS: assigned}
            compiled = dataclasses.replace(before, instance=instance, outbound=outbound, resources=resources)
        else:
            compiled = before
        self._compiled[key] = compiled
        return self._patched(proxy, subject, compiled.resources, patches)

    def _make(
        self,
        instance: Instance,
        serving: _Serving,
        outbound: Outbound,
        assigned: Named,
        snapshot: Snapshot,
        before: _Compiled | None,
    ) -> _Compiled:
        source = source_of(instance, outbound.asked)
        own: dict[OutboundView, XdsResource] = {}
        ports: tuple[tuple[str, int], ...] = ()
        if instance.capture is Capture.TRANSPARENT:
            routes = outbound.port_routes(source)
            outward = list(outbound.captured_listeners().values())
        else:
            # No other proxy has its loopback ports, so it remembers its own listeners.
            if before and _same_listeners(before, instance, outbound):
                own, ports = before.listeners, before.ports
            else:
                own = _own_listeners(instance, outbound, before.listeners if before else {})
                ports = _http_ports(instance, outbound.targets)
            routes = outbound.own_routes(source, ports, forward_proxy=bool(instance.http_proxy))
            outward = [*own.values(), *outbound.own_listeners()]
        inward = self._inward(instance, serving, outbound, snapshot.trust_domain)
        if instance.closing:
            outward = []
        made = {
            CLUSTER: {
                **outbound.clusters,
                **outbound.dialled_clusters(instance.capture),
                **outbound.placed_clusters(outbound.caller(instance)),
                **by_name(self._own_clusters(instance, serving.sidecar, outbound)),
            },
            ENDPOINTS: assigned,
            LISTENER: {
                **by_name([*inward, *outward]),
                **outbound.sni_listeners(source),
                **outbound.name_listeners,
            },
            ROUTES: routes,
            FILTERS: {**outbound.filters(source), **by_name(self._limits.of(instance, serving.limit, outbound.seat))},
        }
        earlier = before.resources if before else {}
        resources = {type_url: kept(named, earlier.get(type_url)) for type_url, named in made.items()}
        return _Compiled(instance, serving, outbound, snapshot.trust_domain, resources, own, ports)

    def _inward(
        self, instance: Instance, serving: _Serving, outbound: Outbound, trust_domain: str
    ) -> Iterator[XdsResource]:
        seat, mesh, manners = outbound.seat, outbound.scope.mesh_config, outbound.manners
        origins = listener_views.served_by(instance, serving.sidecar, mesh)
        if not instance.closing:
            views = listener_views.inbound(instance, trust_domain, origins, seat, manners)
            yield from map(self._inbound_listener, views)
        if seat.shared:  # kept for neighbours, which may not have heard yet that it closes
            inside = listener_views.inside(
                instance,
                outbound.inbound_rules,
                origins,
                seat,
                serving.sidecar,
                serving.reads,
                mesh=mesh,
                manners=manners,
            )
            yield from map(self._inside_listener, inside)

    def _own_clusters(self, instance: Instance, sidecar: Sidecar | None, outbound: Outbound) -> Iterator[XdsResource]:
        unknown = elsewhere.PassthroughView(instance.capture, outbound.seat, outbound.scope.mesh_config)
        yield self._passthrough(unknown)
        if outbound.scope.looks_up_hosts:
            yield self._dynamic(unknown)
        yield elsewhere.build_black_hole()
        for port in instance.inbound:
            rules = outbound.inbound_rules.get(port.host, ())
            mesh = outbound.scope.mesh_config
            view = clusters.InboundClusterView(port, rules, instance.origin, outbound.seat, sidecar, mesh)
            yield self._inbound_cluster(view)


def _same_listeners(before: _Compiled, instance: Instance, outbound: Outbound) -> bool:
    earlier = before.outbound
    alike = earlier.targets is outbound.targets and earlier.manners == outbound.manners
    return alike and before.instance == instance


def _neighbours(proxy: Proxy) -> frozenset[str]:
    """Returns the instances that others of the same proxy call inside it."""
    if proxy.kind is not ProxyKind.NODE:
        return frozenset()
    return frozenset(one.id for one in proxy.instances if not one.closing)


def _union(parts: Iterable[Named]) -> Named:
    return {name: one for part in parts for name, one in part.items()}


def _still(before: _Compiled, instance: Instance, outbound: Outbound, snapshot: Snapshot) -> bool:
    return before.outbound is outbound and before.trust_domain == snapshot.trust_domain and before.instance == instance


def _http_ports(instance: Instance, targets: Mapping[tuple[str, int], Target]) -> tuple[tuple[str, int], ...]:
    ports = ((port.host, port.port) for port in instance.outbound)
    return tuple(port for port in ports if (target := targets.get(port)) and target.protocol.may_be_http)


def _own_listeners(
    instance: Instance, outbound: Outbound, made: Mapping[OutboundView, XdsResource]
) -> dict[OutboundView, XdsResource]:
    views = listener_views.explicit(instance, outbound.targets, outbound.manners)
    return {view: made.get(view) or listeners.build_outbound(view) for view in views}
