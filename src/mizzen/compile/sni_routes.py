"""TLS routes: where the connections to a port go whose clients speak TLS, by the server name that they ask for (Istio 1.1).

The name has to be read before a filter chain is chosen, and to read it a listener waits for the client: it must be another
one than where servers speak first, and in a node proxy one listener is for everything. So the TCP route of such a port leads
through an internal listener of this proxy, if a VirtualService has TLS routes for it. That listener is always there, so that
routes that come find it ready, and leads to the service without them. It has a chain for each name, whose filter comes by
itself: a connection ends only if its name has no route any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile import locations, names, pools
from mizzen.compile.branches import name_reader
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode
from mizzen.compile.seats import Seat
from mizzen.compile.tcp_filters import tcp_proxy, tcp_route
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener


@dataclass(frozen=True)
class SniView:
    """Everything that the listener for one TLS port of a service depends on.

    ``called`` is the service's cluster. ``routes`` are the server names that have a route, each with that route's name.
    """

    name: str
    called: str
    routes: tuple[tuple[str, str], ...]
    origins: tuple[Key, ...]


def build_sni_listener(view: SniView) -> XdsResource:
    """Builds the listener that asks for the server name; where some have routes, others lead nowhere (Istio 2.3)."""
    listener = Listener(name=view.name, traffic_direction=TrafficDirection.OUTBOUND)
    listener.internal_listener.SetInParent()
    listener.listener_filters.append(name_reader())
    for server_name, route in view.routes:
        chain = FilterChain(name=server_name, filters=[tcp_route(route)])
        chain.filter_chain_match.server_names.append(server_name)
        listener.filter_chains.append(chain)
    if not view.routes:
        listener.default_filter_chain.CopyFrom(FilterChain(filters=[tcp_proxy(view.called)]))
    return encode(view.name, listener, view.origins)


@dataclass(frozen=True)
class SniClusterView:
    """Everything that the cluster which leads to such a listener depends on; both have the same name."""

    name: str
    origin: Key


def build_sni_cluster(view: SniClusterView) -> XdsResource:
    cluster = Cluster(name=view.name, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    locations.lead_inside(cluster, view.name)
    pools.apply(cluster, None, pools.Codec.BYTES)
    return encode(view.name, cluster, [view.origin])


def sni_name(seat: Seat, host: str, port: int) -> str:
    """Returns the name of the listener and the cluster for a TLS port of a service."""
    return seat.named(names.sni_listener(port, host))
