"""Listeners of a gateway: one for each socket, with a filter chain for each server that clients can tell apart (Istio 2.18).

As everywhere in the mesh, routes come by RDS and those of connections by ECDS, certificates by SDS: what drains connections
is a server that goes, and of TLS that passes through the last route for a name.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile import connection_limits, http_connections, names
from mizzen.compile.branches import name_reader
from mizzen.compile.gateway_tls import GatewayTlsView, gateway_socket
from mizzen.compile.http_connections import USUAL, Manners
from mizzen.compile.protos import socket_address
from mizzen.compile.rate_limits import place_of
from mizzen.compile.resource import XdsResource, encode
from mizzen.compile.tcp_filters import tcp_proxy, tcp_route
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener


@dataclass(frozen=True)
class ChainView:
    """One filter chain. ``route`` is what it asks for: a route configuration, or of ``passes`` a filter for connections.

    ``server_names`` are those that clients ask for who get here; all, if there are none. ``grpc_web`` says that some speak
    gRPC-Web.
    """

    route: str
    passes: bool = False
    server_names: tuple[str, ...] = ()
    tls: GatewayTlsView | None = None
    manners: Manners = USUAL
    grpc_web: bool = False


@dataclass(frozen=True)
class GatewayListenerView:
    """Everything that a listener of a gateway depends on; ``asks`` says that it reads the server name of TLS.

    It listens on ``others`` beside its address.
    """

    address: str
    port: int
    chains: tuple[ChainView, ...]
    asks: bool = False
    others: tuple[str, ...] = ()
    origins: tuple[Key, ...] = ()


def build_gateway_listener(view: GatewayListenerView) -> XdsResource:
    name = names.listener(view.address, view.port)
    listener = Listener(
        name=name, address=socket_address(view.address, view.port), traffic_direction=TrafficDirection.OUTBOUND
    )
    for other in view.others:
        listener.additional_addresses.add(address=socket_address(other, view.port))
    if view.asks:
        listener.listener_filters.append(name_reader())
    listener.filter_chains.extend(map(_chain, view.chains))
    if not view.chains:  # a listener needs one
        listener.default_filter_chain.CopyFrom(FilterChain(filters=[tcp_proxy(names.BLACK_HOLE)]))
    return encode(name, listener, view.origins)


def _chain(view: ChainView) -> FilterChain:
    taker = (
        tcp_route(view.route)
        if view.passes
        else http_connections.gateway(view.route, view.manners, grpc_web=view.grpc_web)
    )
    chain = FilterChain(name=view.route, filters=[*connection_limits.slots(place_of()), taker])
    if view.server_names:
        chain.filter_chain_match.server_names.extend(view.server_names)
    if view.tls:
        chain.transport_socket.CopyFrom(gateway_socket(view.tls))
    return chain
