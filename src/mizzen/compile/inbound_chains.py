"""Filter chains before an application: who may call in which form, and what connections are taken for.

A port that declares no protocol has two chains for each kind of caller, one for requests and one for bytes. Callers in the mesh
say which of them they bring in their TLS (:mod:`mizzen.compile.tls`), so that nobody waits for bytes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mizzen.compile import connection_limits, http_connections, names, tls
from mizzen.compile.branches import find_requests, name_reader, network, of_requests
from mizzen.compile.http_connections import Manners
from mizzen.compile.rate_limits import place_of
from mizzen.compile.seats import Seat
from mizzen.compile.tcp_filters import tcp_proxy
from mizzen.mesh.model import InboundPort
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener


def look(listener: Listener, undeclared: Sequence[InboundPort], *, everywhere: bool) -> None:
    """Has a listener find out what connections to ports speak that do not say it: callers in the mesh say it in their TLS,
    and what others say is looked at. ``everywhere`` is for a listener with one port.
    """
    if undeclared:
        numbers = () if everywhere else [port.number for port in undeclared]
        listener.listener_filters.append(name_reader(numbers))
    if published := [port.number for port in undeclared if port.published]:
        find_requests(listener, published)


def member_chains(port: InboundPort, trust_domain: str, seat: Seat, manners: Manners) -> Iterator[FilterChain]:
    """Yields the chains for callers in the mesh: two where the port declares no protocol, one for requests and one for bytes."""
    name = seat.named(names.inbound_cluster(port.number))
    for spoken in _spoken_on(port):
        chain = FilterChain(
            name=f"{name}http" if spoken is not port and spoken.protocol.is_http else name,
            filters=_application(spoken, seat, manners),
            transport_socket=tls.downstream(trust_domain, spoken.protocol, seat.secret),
        )
        if spoken is not port and spoken.protocol.is_http:
            chain.filter_chain_match.application_protocols.extend(tls.HTTP_ALPN)
        yield chain


def _spoken_on(port: InboundPort) -> Sequence[InboundPort]:
    """Returns a port as it is for each protocol that may be spoken there."""
    if port.protocol is not Protocol.UNDECLARED:
        return (port,)
    return tuple(replace(port, protocol=protocol) for protocol in (Protocol.HTTP, Protocol.TCP))


def published_chains(port: InboundPort, gateways: Sequence[str], seat: Seat, manners: Manners) -> Iterator[FilterChain]:
    """Lets those call in plaintext to whom a container's engine has opened a port: whoever is outside its networks.

    Such calls come from another subnet, or from the gateway's address if the engine hides where they come from. The
    chains are chosen by that alone, before anything is read: where the port declares what it speaks, nobody waits for bytes.
    """
    name = seat.named(f"published_{port.number}")
    outside = ("0.0.0.0/0", *gateways)
    for chain in plaintext_chains(name, port, seat, manners):
        chain.filter_chain_match.source_prefix_ranges.extend(map(network, outside))
        yield chain


def plaintext_chains(
    name: str, port: InboundPort, seat: Seat, manners: Manners, *, inside: bool = False
) -> Iterator[FilterChain]:
    """Yields the chains for what comes as it is; where nothing says whether that is requests, two."""
    for spoken in _spoken_on(port):
        chain = FilterChain(name=name, filters=_application(spoken, seat, manners, inside=inside))
        if spoken is not port and spoken.protocol.is_http:
            chain.name = f"{name}_http"
            of_requests(chain)
        yield chain


def _application(port: InboundPort, seat: Seat, manners: Manners, *, inside: bool = False) -> list[Filter]:
    if port.protocol.is_http:
        return [http_connections.inbound(port, manners, seat, inside=inside)]
    return bytes_to_application(port, seat)


def bytes_to_application(port: InboundPort, seat: Seat) -> list[Filter]:
    """Returns the filters for connections of a port that carries bytes, which are counted."""
    return [*connection_limits.slots(place_of(port.number), seat), to_application(port, seat)]


def to_application(port: InboundPort, seat: Seat) -> Filter:
    return tcp_proxy(seat.named(names.inbound_cluster(port.number)))
