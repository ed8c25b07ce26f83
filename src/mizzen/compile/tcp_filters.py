"""Filters that pass connections on as bytes."""

from __future__ import annotations

from mizzen.compile.protos import ads
from mizzen.compile.resource import pack
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy


def tcp_route(name: str) -> Filter:
    """Builds the place of a filter that passes connections on, and comes by ECDS under this name."""
    route = Filter(name=name)
    route.config_discovery.config_source.CopyFrom(ads())
    route.config_discovery.type_urls.append(f"type.googleapis.com/{TcpProxy.DESCRIPTOR.full_name}")
    return route


def tcp_proxy(cluster: str) -> Filter:
    """Builds a filter that passes all connections on to one cluster, and never changes."""
    proxy = TcpProxy(stat_prefix=cluster, cluster=cluster)
    return Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy))
