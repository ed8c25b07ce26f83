"""Listeners: where a sidecar takes connections, from its application and from other sidecars.

A listener depends on ports and protocols and hardly ever on policy: routes come by RDS and certificates by SDS, so that
no change of policy drains a connection. The exceptions are a DestinationRule's ``tcp.idleTimeout`` and
``tcp.maxConnectionDuration`` for a service that does not speak HTTP: Envoy has them nowhere else, so changing them
drains that service's connections (Istio 1.2). Where capture is transparent the layout is Istio's (2.15): 15001 and 15006 take
what nftables redirects and hand outbound connections on to a listener for their destination. Where it is explicit
each service port has a loopback port of its own, and there is a forward proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mizzen.compile import http_connections, names, tls
from mizzen.compile.protos import duration, socket_address
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.mesh.model import Capture, InboundPort
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
)
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

ANY_ADDRESS = "0.0.0.0"


class TcpLimits(NamedTuple):
    """How long, in seconds, a connection may carry nothing, and live; None is Envoy's default (an hour, for ever)."""

    idle: float | None = None
    longest: float | None = None


_NO_LIMITS = TcpLimits()


@dataclass(frozen=True)
class OutboundView:
    """Everything that an outbound listener depends on.

    ``route`` is the route configuration (HTTP) or the cluster (TCP) that it leads to. ``bound`` says that it opens a
    socket; otherwise 15001 hands it the connections whose destination is its address. ``limits`` are for TCP alone.
    """

    address: str
    port: int
    protocol: Protocol
    route: str
    bound: bool
    forward_proxy: bool = False
    limits: TcpLimits = _NO_LIMITS
    origins: tuple[Key, ...] = ()


def build_outbound(view: OutboundView) -> XdsResource:
    name = names.listener(view.address, view.port)
    listener = Listener(
        name=name, address=socket_address(view.address, view.port), traffic_direction=TrafficDirection.OUTBOUND
    )
    if not view.bound:
        listener.bind_to_port.value = False
    if view.protocol.is_http:
        taker = http_connections.outbound(view.route, forward_proxy=view.forward_proxy)
    else:
        taker = _tcp(view.route, view.limits)
    listener.filter_chains.append(FilterChain(filters=[taker]))
    return encode(name, listener, view.origins)


def build_virtual_outbound() -> XdsResource:
    """Builds the listener that takes all redirected outbound connections; what nobody else takes goes through as it is."""
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=socket_address(ANY_ADDRESS, names.OUTBOUND_CAPTURE_PORT),
        traffic_direction=TrafficDirection.OUTBOUND,
    )
    listener.use_original_dst.value = True
    # A connection to this very port would go round in circles.
    loop = FilterChain(name="virtualOutbound-blackhole", filters=[_tcp(names.BLACK_HOLE)])
    loop.filter_chain_match.destination_port.value = names.OUTBOUND_CAPTURE_PORT
    listener.filter_chains.append(loop)
    listener.filter_chains.append(FilterChain(name="virtualOutbound-catchall-tcp", filters=[_tcp(names.PASSTHROUGH)]))
    return encode(names.VIRTUAL_OUTBOUND, listener)


@dataclass(frozen=True)
class InboundView:
    """Everything that an inbound listener depends on: its ports (all of them where capture is transparent)."""

    address: str
    ports: tuple[InboundPort, ...]
    trust_domain: str
    capture: Capture
    origin: Key


def build_inbound(view: InboundView) -> XdsResource:
    """Builds an inbound listener: only mutual TLS, only declared ports."""
    transparent = view.capture is Capture.TRANSPARENT
    if transparent:
        name, address, port = names.VIRTUAL_INBOUND, ANY_ADDRESS, names.INBOUND_CAPTURE_PORT
    else:
        (only,) = view.ports
        name, address, port = names.listener(view.address, only.listen), view.address, only.listen
    listener = Listener(name=name, address=socket_address(address, port), traffic_direction=TrafficDirection.INBOUND)
    if transparent:
        # Restores the destination that the client dialled, by which the chains are told apart.
        listener.listener_filters.append(
            ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(OriginalDst()))
        )
    for inbound in view.ports:
        listener.filter_chains.append(_inbound_chain(inbound, view.trust_domain, match_port=transparent))
    return encode(name, listener, [view.origin])


def _inbound_chain(port: InboundPort, trust_domain: str, *, match_port: bool) -> FilterChain:
    cluster = names.inbound_cluster(port.number)
    taker = http_connections.inbound(port) if port.protocol.is_http else _tcp(cluster)
    chain = FilterChain(name=cluster, filters=[taker], transport_socket=tls.downstream(trust_domain, port.protocol))
    if match_port:
        chain.filter_chain_match.CopyFrom(FilterChainMatch())
        chain.filter_chain_match.destination_port.value = port.number
    return chain


def _tcp(cluster: str, limits: TcpLimits = _NO_LIMITS) -> Filter:
    proxy = TcpProxy(stat_prefix=cluster, cluster=cluster)
    if limits.idle is not None:
        proxy.idle_timeout.CopyFrom(duration(limits.idle))
    if limits.longest is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(limits.longest))
    return Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy))
