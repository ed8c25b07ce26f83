"""Where connections by TLS to a ServiceEntry with ``resolution: DYNAMIC_DNS`` go: to the server name that each asks for (Istio 1.4).

A cluster can look up the host of a request by itself, but not the server name in bytes that pass: that is for a filter before
it. So the service's cluster, to which routes of any kind and of any proxy lead, leads to a listener inside the proxy, which reads
the name, and from there by that filter to a second cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile import locations, names, pools
from mizzen.compile.branches import name_reader
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.seats import Seat
from mizzen.compile.tcp_filters import tcp_proxy
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
    seat: Seat
    origin: Key

    @property
    def name(self) -> str:
        return way(self.seat, self.host, self.port)


def way(seat: Seat, host: str, port: int) -> str:
    """Returns the name of the listener for a port, and of the cluster to which that leads."""
    return seat.named(names.server_name_listener(port, host))


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
    cluster = Cluster(name=view.name, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    locations.forward(cluster, insecure=True)  # the TLS is the client's own, and it checks who answers
    pools.apply(cluster, None, pools.Codec.BYTES)
    view.seat.open_inside(cluster)
    return encode(view.name, cluster, [view.origin])
