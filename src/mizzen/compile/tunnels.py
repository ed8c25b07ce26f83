"""Tunnels: connections that a proxy of HTTP leads on, asked by CONNECT or POST (DestinationRule's ``tunnel``, Istio 1.2).

The rule is for the host of that proxy; a route for TCP or TLS leads there what is meant for another server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mizzen.compile.clusters import policy_for
from mizzen.compile.destinations import called_at
from mizzen.mesh.model import DestinationRule, Host, VirtualService
from mizzen.resources.destination_rule import TunnelSettings, policies
from mizzen.resources.key import Key
from mizzen.resources.virtual_service import RouteDestination
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy


class Tunnel(NamedTuple):
    """How connections go through a tunnel, None if they go through none, and the rules that say it."""

    settings: TunnelSettings | None = None
    origins: tuple[Key, ...] = ()


NONE = Tunnel()


class Tunnels:
    """The tunnels that a namespace's rules have connections go through; ``ports`` are those of services."""

    def __init__(
        self, rules: Mapping[Host, tuple[DestinationRule, ...]], ports: Mapping[Host, tuple[int, ...]]
    ) -> None:
        self._rules = {host: found for host, found in rules.items() if any(map(_mentions, found))}
        self._ports = ports

    def to(self, host: Host, port: int, subset: str = "") -> Tunnel:
        """Returns the tunnel to a port of a service."""
        rules = self._rules.get(host, ())
        policy = policy_for(rules, subset, port) if rules else None
        return Tunnel(policy.tunnel, tuple(one.key for one in rules)) if policy and policy.tunnel else NONE

    def of(self, destinations: Iterable[RouteDestination], rule: VirtualService, called: int) -> Tunnel:
        """Returns the tunnel of a route's destinations, which is the same for all (``resources.tunnel_references``)."""
        for one in (destination.destination for destination in destinations if self._rules):
            tunnel = self.to(*called_at(one, rule, called, self._ports), one.subset) if one else NONE
            if tunnel.settings:
                return tunnel
        return NONE


def _mentions(rule: DestinationRule) -> bool:
    return any(policy.tunnel for _, policy in policies(rule.spec))


def apply(proxy: TcpProxy, tunnel: TunnelSettings | None) -> None:
    if tunnel:
        proxy.tunneling_config.hostname = f"{tunnel.target_host}:{tunnel.target_port}"
        proxy.tunneling_config.use_post = tunnel.protocol == "POST"
