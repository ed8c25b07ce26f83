"""Puts the parts together: (proxy, snapshot) to all xDS resources of the proxy.

Each part is a pure function of its view, and the Compiler remembers what it built from which view. Two proxies with
equal views share the encoded resource; a new snapshot re-makes only what has a new view; what a proxy has as before is
given as the same objects as before. A Compiler that has just started gives the same answer as one that has run for a
year.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mizzen.compile import clusters, listener_views, listeners, proxyless
from mizzen.compile.listener_views import Target
from mizzen.compile.listeners import OutboundView
from mizzen.compile.outbound import Builders, Named, Outbound, by_name, kept, remember
from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resources, XdsResource
from mizzen.compile.route_views import source_of
from mizzen.mesh.model import Capture, Proxy, ProxyKind, Snapshot
from mizzen.mesh.scope import scope_of


@dataclass(frozen=True)
class _Compiled:
    """What a proxy was given, and what from: the last of these serves as long as they stay the same."""

    proxy: Proxy
    outbound: Outbound
    trust_domain: str
    resources: Resources
    listeners: dict[OutboundView, XdsResource]
    ports: tuple[tuple[str, int], ...]


class Compiler:
    """Compiles proxies; keep one for as long as the process lives, so that it has something to remember."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._builders = Builders()
        self._outbound: dict[str, Outbound] = {}
        self._stale: dict[str, Outbound] = {}
        self._endpoints: dict[str, Named] = {}
        self._compiled: dict[str, _Compiled] = {}
        self._for_grpc: dict[str, Resources] = {}
        self._inbound_cluster = remember(clusters.build_inbound_cluster)
        self._passthrough = remember(clusters.build_passthrough)
        self._inbound_listener = remember(listeners.build_inbound)
        self._proxyless = proxyless.Builder()

    def compile(self, proxy: Proxy, snapshot: Snapshot) -> Resources:
        """Returns all resources of a proxy, by type and name."""
        if snapshot is not self._snapshot:
            self._turn_to(snapshot)
        outbound = self._outbound_of(snapshot, proxy.namespace)
        if proxy.kind is ProxyKind.PROXYLESS:
            return self._compile_proxyless(outbound, snapshot)
        before = self._compiled.get(proxy.id)
        assigned = self._endpoints_of(outbound, snapshot)
        if before is None or not _still(before, proxy, outbound, snapshot):
            compiled = self._compile_sidecar(proxy, outbound, assigned, snapshot, before)
        elif before.resources[ENDPOINTS] is not assigned:
            resources = {**before.resources, ENDPOINTS: assigned}
            compiled = dataclasses.replace(before, proxy=proxy, outbound=outbound, resources=resources)
        else:
            return before.resources
        self._compiled[proxy.id] = compiled
        return compiled.resources

    def _turn_to(self, snapshot: Snapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        self._endpoints = {}
        self._compiled = {name: one for name, one in self._compiled.items() if name in snapshot.proxies}
        if before is None or not _same_policy(before, snapshot):
            # Those that nobody has asked for since the last change are dropped.
            self._stale, self._outbound = self._outbound, {}

    def _outbound_of(self, snapshot: Snapshot, namespace: str) -> Outbound:
        if namespace not in self._outbound:
            scope, before = scope_of(snapshot, namespace), self._stale.pop(namespace, None)
            if before is None or before.scope != scope:
                before = Outbound(scope, self._builders, before)
            self._outbound[namespace] = before
        return self._outbound[namespace]

    def _endpoints_of(self, outbound: Outbound, snapshot: Snapshot) -> Named:
        namespace = outbound.scope.namespace
        if namespace not in self._endpoints:
            self._endpoints[namespace] = outbound.endpoints(snapshot.endpoints)
        return self._endpoints[namespace]

    def _compile_proxyless(self, outbound: Outbound, snapshot: Snapshot) -> Resources:
        made = self._proxyless.build(outbound.scope, outbound.views, snapshot)
        before = self._for_grpc.get(outbound.scope.namespace, {})
        resources = {type_url: kept(named, before.get(type_url)) for type_url, named in made.items()}
        self._for_grpc[outbound.scope.namespace] = resources
        return resources

    def _compile_sidecar(
        self, proxy: Proxy, outbound: Outbound, assigned: Named, snapshot: Snapshot, before: _Compiled | None
    ) -> _Compiled:
        source = source_of(proxy, outbound.asked)
        own: dict[OutboundView, XdsResource] = {}
        ports: tuple[tuple[str, int], ...] = ()
        if proxy.capture is Capture.TRANSPARENT:
            routes = outbound.port_routes(source)
            outward = [listeners.build_virtual_outbound(), *outbound.port_listeners().values()]
        else:
            # No other proxy has its loopback ports, so it remembers its own listeners.
            if before and before.outbound.targets is outbound.targets and before.proxy == proxy:
                own, ports = before.listeners, before.ports
            else:
                own = _own_listeners(proxy, outbound, before.listeners if before else {})
                ports = _http_ports(proxy, outbound.targets)
            routes = outbound.own_routes(source, ports, forward_proxy=bool(proxy.http_proxy))
            outward = list(own.values())
        inward = map(self._inbound_listener, listener_views.inbound(proxy, snapshot.trust_domain))
        made = {
            CLUSTER: {**outbound.clusters, **by_name(self._own_clusters(proxy, outbound))},
            ENDPOINTS: assigned,
            LISTENER: by_name([*inward, *outward]),
            ROUTES: routes,
        }
        earlier = before.resources if before else {}
        resources = {type_url: kept(named, earlier.get(type_url)) for type_url, named in made.items()}
        return _Compiled(proxy, outbound, snapshot.trust_domain, resources, own, ports)

    def _own_clusters(self, proxy: Proxy, outbound: Outbound) -> Iterator[XdsResource]:
        yield self._passthrough(proxy.capture)
        yield clusters.build_black_hole()
        for port in proxy.inbound:
            rules = outbound.rules.get(port.host, ())
            yield self._inbound_cluster(clusters.InboundClusterView(port, rules, proxy.origin))


def _still(before: _Compiled, proxy: Proxy, outbound: Outbound, snapshot: Snapshot) -> bool:
    return before.outbound is outbound and before.trust_domain == snapshot.trust_domain and before.proxy == proxy


def _same_policy(one: Snapshot, other: Snapshot) -> bool:
    """Tells whether two snapshots have the same scopes: all but endpoints and proxies."""
    return (
        one.services == other.services
        and one.virtual_services == other.virtual_services
        and one.destination_rules == other.destination_rules
    )


def _http_ports(proxy: Proxy, targets: Mapping[tuple[str, int], Target]) -> tuple[tuple[str, int], ...]:
    ports = ((port.host, port.port) for port in proxy.outbound)
    return tuple(port for port in ports if (target := targets.get(port)) and target.protocol.is_http)


def _own_listeners(
    proxy: Proxy, outbound: Outbound, made: Mapping[OutboundView, XdsResource]
) -> dict[OutboundView, XdsResource]:
    views = listener_views.explicit(proxy, outbound.targets)
    return {view: made.get(view) or listeners.build_outbound(view) for view in views}
