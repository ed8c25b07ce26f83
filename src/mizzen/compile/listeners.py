"""Listeners: where a sidecar takes connections, from its application and from other sidecars.

A listener depends on ports and protocols and not on policy: routes come by RDS, those of TCP by ECDS, and certificates by
SDS, so that no change of policy drains a connection (of TLS routes see :mod:`mizzen.compile.sni_routes`). Where capture is
transparent the layout is Istio's (2.15): 15001 and 15006 take what nftables redirects and hand outbound connections on to a
listener for their destination. Where it is explicit each service port has a loopback port of its own, and there is a forward
proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.compile import http_connections, names, tls
from mizzen.compile.branches import Branch, name_reader, network
from mizzen.compile.http_connections import USUAL, Manners
from mizzen.compile.protos import ads, socket_address
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.seats import ALONE, Seat, inside_listener
from mizzen.mesh.model import NOWHERE, Capture, InboundPort, Surroundings
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

ANY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True)
class OutboundView:
    """Everything that an outbound listener depends on.

    ``route`` is the route configuration (HTTP) or the filter (TCP) that it asks for, "" if all that it takes are the
    ``branches``. ``bound`` says that it opens a socket; otherwise 15001 hands it the connections whose destination is its
    address. ``exclusive`` says that no other proxy may have this socket: the kernel would divide connections among them.
    """

    address: str
    port: int
    protocol: Protocol
    route: str
    bound: bool
    forward_proxy: bool = False
    origins: tuple[Key, ...] = ()
    branches: tuple[Branch, ...] = ()
    exclusive: bool = False
    seat: Seat = ALONE
    manners: Manners = USUAL

    @property
    def reads_names(self) -> bool:
        return any(branch.server_name for branch in self.branches)


def build_outbound(view: OutboundView) -> XdsResource:
    name = view.seat.named(names.listener(view.address, view.port))
    listener = Listener(
        name=name, address=view.seat.address(view.address, view.port), traffic_direction=TrafficDirection.OUTBOUND
    )
    if not view.bound:
        listener.bind_to_port.value = False
    if view.exclusive:
        listener.enable_reuse_port.value = False
    if view.reads_names:
        listener.listener_filters.append(name_reader())
        listener.continue_on_listener_filters_timeout = True
    listener.filter_chains.extend(_branch_chain(name, branch) for branch in view.branches)
    if view.route:
        listener.filter_chains.append(FilterChain(filters=[_taker(view)]))
    else:
        listener.default_filter_chain.CopyFrom(_catch_all())
    return encode(name, listener, view.origins)


def _branch_chain(listener: str, branch: Branch) -> FilterChain:
    name = "_".join(part for part in (listener, branch.subnet, branch.server_name) if part)
    return FilterChain(name=name, filter_chain_match=branch.match(), filters=[tcp_route(branch.route)])


def _taker(view: OutboundView) -> Filter:
    if view.protocol.is_http:
        return http_connections.outbound(view.route, view.manners, forward_proxy=view.forward_proxy)
    return tcp_route(view.route)


def build_virtual_outbound() -> XdsResource:
    """Builds the listener that takes all redirected outbound connections; what nobody else takes goes where the mesh allows."""
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=socket_address(ANY_ADDRESS, names.OUTBOUND_CAPTURE_PORT),
        traffic_direction=TrafficDirection.OUTBOUND,
    )
    listener.use_original_dst.value = True
    listener.filter_chains.append(_loop())
    listener.filter_chains.append(_catch_all())
    return encode(names.VIRTUAL_OUTBOUND, listener)


def _loop() -> FilterChain:
    """A connection to this very port would go round in circles."""
    chain = FilterChain(name="virtualOutbound-blackhole", filters=[tcp_proxy(names.BLACK_HOLE)])
    chain.filter_chain_match.destination_port.value = names.OUTBOUND_CAPTURE_PORT
    return chain


def _catch_all(seat: Seat = ALONE) -> FilterChain:
    return FilterChain(name=names.ELSEWHERE, filters=[tcp_route(seat.named(names.ELSEWHERE))])


@dataclass(frozen=True)
class SeatOutboundView:
    """Everything that the outbound listener of one seat of several depends on; ``targets`` as for 15001's listeners."""

    seat: Seat
    targets: tuple[OutboundView, ...]


def build_seat_outbound(view: SeatOutboundView) -> XdsResource:
    """Builds the listener for all that is redirected in the network namespace of a seat.

    Envoy looks for the listener to hand a connection on to by its destination alone, whatever namespace that is in. So
    what are listeners of their own for a sidecar are filter chains here, with their names. A chain that comes or goes
    leaves the connections of the others alone (Envoy updates the listener in place).
    """
    name = view.seat.named(names.VIRTUAL_OUTBOUND)
    listener = Listener(
        name=name,
        address=view.seat.address(ANY_ADDRESS, names.OUTBOUND_CAPTURE_PORT),
        traffic_direction=TrafficDirection.OUTBOUND,
        listener_filters=[_original_destination()],
        default_filter_chain=_catch_all(view.seat),
    )
    if ports := [target.port for target in view.targets if target.reads_names]:
        listener.listener_filters.append(name_reader(ports))
        listener.continue_on_listener_filters_timeout = True
    listener.filter_chains.append(_loop())
    for target in view.targets:
        listener.filter_chains.extend(_destination_chains(target))
    return encode(name, listener, {origin for target in view.targets for origin in target.origins})


def _destination_chains(view: OutboundView) -> Iterator[FilterChain]:
    name = names.listener(view.address, view.port)
    chains = [_branch_chain(name, branch) for branch in view.branches]
    if view.route:
        own = FilterChain(name=name, filters=[_taker(view)])
        if view.address != ANY_ADDRESS:
            own.filter_chain_match.prefix_ranges.append(network(view.address))
        chains.append(own)
    for chain in chains:
        chain.filter_chain_match.destination_port.value = view.port
        yield chain


def _original_destination() -> ListenerFilter:
    """Restores the destination that the client dialled, by which filter chains are told apart."""
    return ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(OriginalDst()))


@dataclass(frozen=True)
class InboundView:
    """Everything that an inbound listener depends on: its ports (all of them where capture is transparent).

    ``exclusive`` is as for outbound ones.
    """

    address: str
    ports: tuple[InboundPort, ...]
    trust_domain: str
    capture: Capture
    origin: Key
    around: Surroundings = NOWHERE
    seat: Seat = ALONE
    exclusive: bool = False
    manners: Manners = USUAL


def build_inbound(view: InboundView) -> XdsResource:
    """Builds an inbound listener: only mutual TLS, only declared ports; but see :func:`_published_chain`."""
    transparent = view.capture is Capture.TRANSPARENT
    if transparent:
        name, address, port = names.VIRTUAL_INBOUND, ANY_ADDRESS, names.INBOUND_CAPTURE_PORT
    else:
        (only,) = view.ports
        name, address, port = names.listener(view.address, only.listen), view.address, only.listen
    name = view.seat.named(name)
    listener = Listener(name=name, address=view.seat.address(address, port), traffic_direction=TrafficDirection.INBOUND)
    if transparent:
        listener.listener_filters.append(_original_destination())
    if view.exclusive:
        listener.enable_reuse_port.value = False
    for inbound in view.ports:
        chain = _inbound_chain(view, inbound)
        if transparent:
            chain.filter_chain_match.destination_port.value = inbound.number
        if inbound.published:
            chain.filter_chain_match.source_prefix_ranges.extend(map(network, view.around.networks))
            listener.filter_chains.append(_published_chain(view, inbound))
        listener.filter_chains.append(chain)
    return encode(name, listener, [view.origin])


def _inbound_chain(view: InboundView, port: InboundPort) -> FilterChain:
    return FilterChain(
        name=view.seat.named(names.inbound_cluster(port.number)),
        filters=[_application(port, view.seat, view.manners)],
        transport_socket=tls.downstream(view.trust_domain, port.protocol, view.seat.secret),
    )


def _published_chain(view: InboundView, port: InboundPort) -> FilterChain:
    """Lets those call in plaintext to whom a container's engine has opened a port: whoever is outside its networks.

    Such calls come from another subnet, or from the gateway's address if the engine hides where they come from. The
    chain is chosen by that alone: nothing is sniffed, so protocols in which the server speaks first work.
    """
    chain = FilterChain(
        name=view.seat.named(f"published_{port.number}"), filters=[_application(port, view.seat, view.manners)]
    )
    chain.filter_chain_match.destination_port.value = port.number
    outside = ("0.0.0.0/0", *view.around.gateways)
    chain.filter_chain_match.source_prefix_ranges.extend(map(network, outside))
    return chain


@dataclass(frozen=True)
class InsideView:
    """Everything that the internal listener for one port of an instance depends on.

    ``own_pass`` says that the callee's side has rules for requests that only a connection manager of its own can enforce.
    """

    instance: str
    port: InboundPort
    seat: Seat
    own_pass: bool
    origin: Key
    manners: Manners = USUAL


def build_inside(view: InsideView) -> XdsResource:
    """Builds the listener through which neighbours call an instance. No socket leads there, only endpoints of this proxy.

    The caller's side has read the request and knows who calls; where the callee's side has no rule of its own the bytes
    go on as they are. Reading them again costs as much as a second proxy.
    """
    name = inside_listener(view.instance, view.port.listen)
    listener = Listener(name=name, traffic_direction=TrafficDirection.INBOUND)
    listener.internal_listener.SetInParent()
    own_pass = view.own_pass and view.port.protocol.is_http
    taker = (
        _application(view.port, view.seat, view.manners, inside=True)
        if own_pass
        else _to_application(view.port, view.seat)
    )
    listener.filter_chains.append(FilterChain(name=name, filters=[taker]))
    return encode(name, listener, [view.origin])


def _application(port: InboundPort, seat: Seat, manners: Manners, *, inside: bool = False) -> Filter:
    if port.protocol.is_http:
        return http_connections.inbound(port, manners, seat, inside=inside)
    return _to_application(port, seat)


def _to_application(port: InboundPort, seat: Seat) -> Filter:
    return tcp_proxy(seat.named(names.inbound_cluster(port.number)))


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
