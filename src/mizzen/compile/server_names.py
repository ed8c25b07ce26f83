"""Where connections by TLS to a ServiceEntry with ``resolution: DYNAMIC_DNS`` go: to the server name that each asks for (Istio 1.4).

A cluster can look up the host of a request by itself, but not the server name in bytes that pass: that is for a filter before
it. So the service's cluster, to which routes of any kind and of any proxy lead, leads to a listener inside the proxy, which reads
the name, and from there by that filter to a second cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.compile import locations, names, outliers, pools, proxy_protocol
from mizzen.compile.branches import name_reader
from mizzen.compile.clusters import origins_of, policy_for
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.seats import Seat
from mizzen.compile.tcp_filters import tcp_proxy
from mizzen.mesh.destination_rules import merged_subsets
from mizzen.mesh.model import DestinationRule, MeshConfig, Resolution
from mizzen.mesh.scope import ScopedService
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig,
)


@dataclass(frozen=True)
class ServerNameView:
    """Everything that the way of one TLS port depends on; ``target`` is the port of the servers."""

    host: str
    port: int
    target: int
    subset: str
    rules: tuple[DestinationRule, ...]
    mesh_config: MeshConfig | None
    seat: Seat
    origin: Key

    @property
    def name(self) -> str:
        """The name of the listener, and of the cluster to which that leads."""
        return self.seat.named(names.server_name_listener(self.port, self.subset, self.host))


def views_of(scoped: ScopedService, seat: Seat, mesh: MeshConfig | None) -> Iterator[ServerNameView]:
    """Yields the ways of a service, for each cluster that leads to one: that of all its servers, and those of subsets."""
    service, rules = scoped.service, scoped.destination_rules
    if service.resolution is not Resolution.ASKED:
        return
    for port in service.ports:
        for subset in ("", *(one.name for one in merged_subsets(rules))) if port.protocol.is_tls else ():
            yield ServerNameView(service.host, port.number, port.target, subset, rules, mesh, seat, service.origin)


def build_listener(view: ServerNameView) -> XdsResource:
    """Builds the listener; a connection that asks for no name finds no address, and is closed."""
    listener = Listener(name=view.name, traffic_direction=TrafficDirection.OUTBOUND)
    listener.internal_listener.SetInParent()
    listener.listener_filters.append(name_reader())
    look_up = FilterConfig(dns_cache_config=locations.forward_proxy_dns(), port_value=view.target)
    filters = [Filter(name="envoy.filters.network.sni_dynamic_forward_proxy", typed_config=pack(look_up))]
    listener.filter_chains.append(FilterChain(filters=[*filters, tcp_proxy(view.name)]))
    return encode(view.name, listener, [view.origin])


def build_cluster(view: ServerNameView) -> XdsResource:
    """Builds the cluster that dials; what rules and the mesh say of connections is for these."""
    policy = policy_for(view.rules, view.subset, view.port, view.mesh_config)
    cluster = Cluster(name=view.name, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    locations.forward(cluster, insecure=True)  # the TLS is the client's own, and it checks who answers
    outliers.apply(cluster, policy.outlier_detection if policy else None)
    if view.mesh_config:
        pools.apply_mesh(cluster, view.mesh_config.spec)
    pools.apply(cluster, policy.connection_pool if policy else None, pools.Codec.BYTES)
    proxy_protocol.apply(cluster, policy.proxy_protocol if policy else None)
    view.seat.open_inside(cluster)
    return encode(view.name, cluster, origins_of(view.origin, view.rules, view.mesh_config))
