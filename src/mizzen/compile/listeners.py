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

from mizzen.compile import http_connections, names
from mizzen.compile.branches import Branch, find_requests, name_reader, network, of_requests
from mizzen.compile.http_connections import USUAL, Manners
from mizzen.compile.inbound_chains import (
    bytes_to_application,
    look,
    member_chains,
    plaintext_chains,
    published_chains,
    to_application,
)
from mizzen.compile.protos import socket_address
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.seats import ALONE, Seat, inside_listener
from mizzen.compile.tcp_filters import tcp_proxy, tcp_route
from mizzen.mesh.model import NOWHERE, Capture, InboundPort, Surroundings
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst

ANY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True)
class OutboundView:
    """Everything that an outbound listener depends on.

    ``route`` is the route configuration (HTTP) or the filter (TCP) that it asks for, "" if all that it takes are the
    ``branches``. ``bound`` says that it opens a socket; otherwise 15001 hands it the connections whose destination is its
    address. ``exclusive`` says that no other proxy may have this socket: the kernel would divide connections among them.
    ``requests`` is the route configuration of connections that begin with a request, where nothing says whether they do; the
    others go where ``route`` leads.
    """

    address: str
    port: int
    protocol: Protocol
    route: str
    bound: bool
    requests: str = ""
    forward_proxy: bool = False
    origins: tuple[Key, ...] = ()
    branches: tuple[Branch, ...] = ()
    exclusive: bool = False
    seat: Seat = ALONE
    manners: Manners = USUAL

    @property
    def reads_names(self) -> bool:
        return any(branch.server_name for branch in self.branches)

    @property
    def finds_requests(self) -> bool:
        return bool(self.requests) or any(branch.requests for branch in self.branches)


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
    if view.finds_requests:
        find_requests(listener)
    listener.filter_chains.extend(
        chain for branch in view.branches for chain in _branch_chains(name, branch, view.manners)
    )
    if view.requests:
        listener.filter_chains.append(_requests_chain(name, view.requests, view.manners))
    if view.route:
        listener.filter_chains.append(FilterChain(filters=[_taker(view)]))
    else:
        listener.default_filter_chain.CopyFrom(_catch_all())
    return encode(name, listener, view.origins)


def _branch_chains(listener: str, branch: Branch, manners: Manners) -> Iterator[FilterChain]:
    name = "_".join(part for part in (listener, branch.subnet, branch.server_name) if part)
    chains = [FilterChain(name=name, filters=[tcp_route(branch.route)])]
    if branch.requests:
        chains.append(_requests_chain(name, branch.requests, manners))
    for chain in chains:
        chain.filter_chain_match.MergeFrom(branch.match())
        yield chain


def _requests_chain(name: str, route: str, manners: Manners) -> FilterChain:
    return of_requests(FilterChain(name=f"{name}_http", filters=[http_connections.outbound(route, manners)]))


def _taker(view: OutboundView) -> Filter:
    if view.protocol.is_http:
        return http_connections.outbound(view.route, view.manners, forward_proxy=view.forward_proxy)
    return tcp_route(view.route)


def build_virtual_outbound(requests: Manners | None = None) -> XdsResource:
    """Builds the listener that takes all redirected outbound connections; what nobody else takes goes where the mesh allows.

    With ``requests`` those among it that begin with a request are told apart, and read in these manners.
    """
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=socket_address(ANY_ADDRESS, names.OUTBOUND_CAPTURE_PORT),
        traffic_direction=TrafficDirection.OUTBOUND,
    )
    listener.use_original_dst.value = True
    listener.filter_chains.append(_loop())
    if requests:
        find_requests(listener)
        listener.filter_chains.append(_requests_elsewhere(requests))
    listener.filter_chains.append(_catch_all())
    return encode(names.VIRTUAL_OUTBOUND, listener)


def _loop() -> FilterChain:
    """A connection to this very port would go round in circles."""
    chain = FilterChain(name="virtualOutbound-blackhole", filters=[tcp_proxy(names.BLACK_HOLE)])
    chain.filter_chain_match.destination_port.value = names.OUTBOUND_CAPTURE_PORT
    return chain


def _catch_all(seat: Seat = ALONE) -> FilterChain:
    return FilterChain(name=names.ELSEWHERE, filters=[tcp_route(seat.named(names.ELSEWHERE))])


def _requests_elsewhere(manners: Manners, seat: Seat = ALONE) -> FilterChain:
    manager = http_connections.elsewhere(seat.named(names.DYNAMIC_DNS), manners)
    return of_requests(FilterChain(name=names.REQUESTS_ELSEWHERE, filters=[manager]))


@dataclass(frozen=True)
class SeatOutboundView:
    """Everything that the outbound listener of one seat of several depends on; ``targets`` as for 15001's listeners, and
    ``requests`` as for 15001 itself.
    """

    seat: Seat
    targets: tuple[OutboundView, ...]
    requests: Manners | None = None


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
    finding = {target.port for target in view.targets if target.finds_requests}
    if view.requests:
        # On a port of services nobody waits for a client to speak whose service does not ask for it.
        find_requests(listener, but={target.port for target in view.targets} - finding)
    elif finding:
        find_requests(listener, finding)
    listener.filter_chains.append(_loop())
    if view.requests:
        listener.filter_chains.append(_requests_elsewhere(view.requests, view.seat))
    for target in view.targets:
        listener.filter_chains.extend(_destination_chains(target))
    return encode(name, listener, {origin for target in view.targets for origin in target.origins})


def _destination_chains(view: OutboundView) -> Iterator[FilterChain]:
    name = names.listener(view.address, view.port)
    own = [FilterChain(name=name, filters=[_taker(view)])] if view.route else []
    if view.requests:
        own.append(_requests_chain(name, view.requests, view.manners))
    for chain in own if view.address != ANY_ADDRESS else ():
        chain.filter_chain_match.prefix_ranges.append(network(view.address))
    for chain in [*(chain for branch in view.branches for chain in _branch_chains(name, branch, view.manners)), *own]:
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
    origins: tuple[Key, ...]
    around: Surroundings = NOWHERE
    seat: Seat = ALONE
    exclusive: bool = False
    manners: Manners = USUAL


def build_inbound(view: InboundView) -> XdsResource:
    """Builds an inbound listener: only mutual TLS, only declared ports; but what is published is called in plaintext, too
    (inbound_chains.py).
    """
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
    look(listener, [port for port in view.ports if port.protocol is Protocol.UNDECLARED], everywhere=not transparent)
    for inbound in view.ports:
        chains = list(member_chains(inbound, view.trust_domain, view.seat, view.manners))
        if inbound.published:
            for chain in chains:
                chain.filter_chain_match.source_prefix_ranges.extend(map(network, view.around.networks))
            chains = [*published_chains(inbound, view.around.gateways, view.seat, view.manners), *chains]
        for chain in chains if transparent else ():
            chain.filter_chain_match.destination_port.value = inbound.number
        listener.filter_chains.extend(chains)
    return encode(name, listener, view.origins)


@dataclass(frozen=True)
class InsideView:
    """Everything that the internal listener for one port of an instance depends on.

    ``own_pass`` says that the callee's side has rules for requests that only a connection manager of its own can enforce.
    """

    instance: str
    port: InboundPort
    seat: Seat
    own_pass: bool
    origins: tuple[Key, ...]
    manners: Manners = USUAL


def build_inside(view: InsideView) -> XdsResource:
    """Builds the listener through which neighbours call an instance. No socket leads there, only endpoints of this proxy.

    The caller's side has read the request and knows who calls; where the callee's side has no rule of its own the bytes
    go on as they are. Reading them again costs as much as a second proxy.
    """
    name = inside_listener(view.instance, view.port.listen)
    listener = Listener(name=name, traffic_direction=TrafficDirection.INBOUND)
    listener.internal_listener.SetInParent()
    if not view.port.protocol.may_be_http:
        listener.filter_chains.append(FilterChain(name=name, filters=bytes_to_application(view.port, view.seat)))
        return encode(name, listener, view.origins)
    if not view.own_pass:
        listener.filter_chains.append(FilterChain(name=name, filters=[to_application(view.port, view.seat)]))
        return encode(name, listener, view.origins)
    if view.port.protocol is Protocol.UNDECLARED:
        find_requests(listener)
    listener.filter_chains.extend(plaintext_chains(name, view.port, view.seat, view.manners, inside=True))
    return encode(name, listener, view.origins)
