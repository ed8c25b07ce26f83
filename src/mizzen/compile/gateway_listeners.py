"""Listeners of a gateway: one for each socket, with a filter chain for each server that clients can tell apart (Istio 2.18)."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile import http_connections, names
from mizzen.compile.protos import socket_address
from mizzen.compile.resource import XdsResource, encode
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener


@dataclass(frozen=True)
class ChainView:
    """One filter chain; ``route`` is the route configuration that it asks for."""

    route: str


@dataclass(frozen=True)
class GatewayListenerView:
    """Everything that a listener of a gateway depends on."""

    address: str
    port: int
    chains: tuple[ChainView, ...]
    origins: tuple[Key, ...] = ()


def build_gateway_listener(view: GatewayListenerView) -> XdsResource:
    name = names.listener(view.address, view.port)
    listener = Listener(
        name=name, address=socket_address(view.address, view.port), traffic_direction=TrafficDirection.OUTBOUND
    )
    listener.filter_chains.extend(map(_chain, view.chains))
    return encode(name, listener, view.origins)


def _chain(view: ChainView) -> FilterChain:
    return FilterChain(name=view.route, filters=[http_connections.gateway(view.route)])
