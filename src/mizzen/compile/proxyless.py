"""What gRPC's own xDS client receives (proxyless gRPC): the same policy, in the part of xDS that gRPC understands.

A client that dials ``xds:///reviews.default.svc.cluster.local:9080`` asks for the listener of that name; its routes and
clusters are those of a sidecar, with the differences of Istio's gRPC generator: an API listener for each service port,
and certificates named by the client's own certificate provider instead of SDS.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from mizzen.compile import clusters, endpoints, names, routes
from mizzen.compile.protos import ads, uint32
from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resources, XdsResource, encode, pack
from mizzen.compile.route_filters import fault_filter
from mizzen.compile.route_views import RouteViews
from mizzen.compile.routes import Source
from mizzen.mesh.model import Resolution, Snapshot
from mizzen.mesh.scope import Scope, ScopedService
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TransportSocket
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateProviderPluginInstance,
    CertificateValidationContext,
    SubjectAltNameMatcher,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher

# The instance of a certificate provider in the client's bootstrap, as Istio's agent names it.
_PROVIDER = "default"


class Builder:
    """Builds and remembers the resources of proxyless clients."""

    def __init__(self) -> None:
        self._cluster = lru_cache(maxsize=4096)(build_cluster)
        self._listener = lru_cache(maxsize=4096)(build_listener)
        self._endpoints = lru_cache(maxsize=4096)(endpoints.build_endpoints)
        self._routes = lru_cache(maxsize=4096)(routes.build_routes)

    def build(self, scope: Scope, views: Iterable[RouteViews], snapshot: Snapshot) -> Resources:
        """Returns everything that a client in the namespace of the scope may ask for; it has no labels."""
        source = Source(scope.namespace)
        made: dict[str, dict[str, XdsResource]] = {CLUSTER: {}, ENDPOINTS: {}, LISTENER: {}, ROUTES: {}}
        for scoped in filter(_is_inside, scope.reached):
            for view, labels in clusters.cluster_views(scoped, mesh=scope.mesh_config):
                ready = snapshot.endpoints.get((scoped.service.id, view.port.number), ())
                assignment = endpoints.endpoints_view(view.cluster, ready, labels)
                # All or nothing: the client cannot choose by endpoint. With none it is what the next one will want, so
                # that endpoints come and go without a change of the cluster.
                tls = all(endpoint.tls for endpoint in assignment.endpoints)
                made[CLUSTER][view.cluster] = self._cluster(view, tls)
                made[ENDPOINTS][view.cluster] = self._endpoints(assignment)
        inside = {one.service.host: one.service.origin for one in scope.reached if _is_inside(one)}
        asked = ((one, port, hosts) for one in views for port, hosts in one.all_by_port.items())
        for routing, port, hosts in asked:
            for host in filter(inside.__contains__, hosts):
                route = self._routes(routing.of_proxyless(host, port, source))
                made[ROUTES][route.name] = route
                listener = self._listener(names.service_route(host, port), route.name, inside[host])
                made[LISTENER][listener.name] = listener
        return made


def _is_inside(scoped: ScopedService) -> bool:
    """Tells whether such a client can call a service: it knows no way outside, nor to look names up."""
    return scoped.service.resolution is Resolution.TOLD and not scoped.service.external


def build_listener(name: str, route: str, origin: Key) -> XdsResource:
    """Builds the API listener of a service port, which is how gRPC asks for a service."""
    manager = HttpConnectionManager()
    manager.rds.route_config_name = route
    manager.rds.config_source.CopyFrom(ads())
    manager.http_filters.append(fault_filter())
    manager.http_filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())))
    listener = Listener(name=name)
    listener.api_listener.api_listener.CopyFrom(pack(manager))
    return encode(name, listener, [origin])


def build_cluster(view: clusters.ClusterView, tls: bool) -> XdsResource:
    """Builds a cluster in gRPC's terms, which are few: round robin is the one load balancer that every gRPC client has,
    and of a connection pool it knows how many requests may be on the way at once.
    """
    cluster = Cluster(name=view.cluster, type=Cluster.EDS, lb_policy=Cluster.ROUND_ROBIN)
    cluster.eds_cluster_config.eds_config.CopyFrom(ads())
    cluster.eds_cluster_config.service_name = view.cluster
    policy = clusters.policy_of(view)
    http = policy.connection_pool.http if policy and policy.connection_pool else None
    if http and http.http2_max_requests:
        cluster.circuit_breakers.thresholds.add(max_requests=uint32(http.http2_max_requests))
    if tls:
        cluster.transport_socket.CopyFrom(_tls(view))
    return encode(view.cluster, cluster, clusters.origins_of(view.origin, view.rules, view.mesh_config))


def _tls(view: clusters.ClusterView) -> TransportSocket:
    instance = CertificateProviderPluginInstance(instance_name=_PROVIDER, certificate_name=names.WORKLOAD_SECRET)
    roots = CertificateProviderPluginInstance(instance_name=_PROVIDER, certificate_name=names.ROOT_SECRET)
    accepted = [
        SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.URI, matcher=StringMatcher(exact=str(identity)))
        for identity in view.identities
    ]
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_certificate_provider_instance=instance,
            combined_validation_context=CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=CertificateValidationContext(
                    ca_certificate_provider_instance=roots, match_typed_subject_alt_names=accepted
                )
            ),
        ),
        sni=names.sni(view.port.number, view.subset, view.host),
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))
