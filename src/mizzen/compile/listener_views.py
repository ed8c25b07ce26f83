"""What a sidecar's listeners depend on: its own ports, and where each of its namespace's services is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mizzen.compile import names
from mizzen.compile.listeners import ANY_ADDRESS, InboundView, OutboundView, TcpLimits
from mizzen.mesh.model import Capture, Host, Proxy
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol


class Target(NamedTuple):
    """What a listener for one port of a service depends on."""

    address: str
    protocol: Protocol
    limits: TcpLimits
    origin: Key


def inbound(proxy: Proxy, trust_domain: str) -> Iterator[InboundView]:
    """Yields the inbound listeners: one for all ports where capture is transparent, else one for each."""
    if not proxy.inbound:  # a listener needs at least one filter chain
        return
    groups = [proxy.inbound] if proxy.capture is Capture.TRANSPARENT else [(port,) for port in proxy.inbound]
    for ports in groups:
        yield InboundView(proxy.address, ports, trust_domain, proxy.capture, proxy.origin)


def transparent(targets: Mapping[tuple[Host, int], Target]) -> Iterator[OutboundView]:
    """Yields the listeners to which 15001 hands connections: one for each HTTP port, one for each TCP service's address."""
    ports = sorted({number for (_, number), target in targets.items() if target.protocol.is_http})
    for number in ports:
        if number not in names.RESERVED_PORTS:
            # It does not depend on which services have the port, so that a new one leaves it alone.
            yield OutboundView(ANY_ADDRESS, number, Protocol.HTTP, str(number), bound=False)
    for (host, number), target in targets.items():
        if not target.protocol.is_http and target.address:
            cluster = names.outbound_cluster(number, "", host)
            yield OutboundView(
                target.address,
                number,
                target.protocol,
                cluster,
                bound=False,
                limits=target.limits,
                origins=(target.origin,),
            )


def explicit(proxy: Proxy, targets: Mapping[tuple[Host, int], Target]) -> Iterator[OutboundView]:
    """Yields the listeners on a sidecar's loopback ports: one for each service port, and the forward proxy."""
    if proxy.http_proxy:
        yield OutboundView(
            proxy.address, proxy.http_proxy, Protocol.HTTP, names.HTTP_PROXY, bound=True, forward_proxy=True
        )
    for host, number, local in proxy.outbound:
        target = targets.get((host, number))
        if target is None:  # the service is gone, the node has not heard of it yet
            continue
        route = (
            names.service_route(host, number) if target.protocol.is_http else names.outbound_cluster(number, "", host)
        )
        yield OutboundView(
            proxy.address, local, target.protocol, route, bound=True, limits=target.limits, origins=(target.origin,)
        )
