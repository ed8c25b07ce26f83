"""Branches: filter chains for connections whose destination alone does not say which service they are for.

That is so for services of ServiceEntries that have no address of their own: they share a port, and are told apart by a subnet
or, where clients speak TLS, by the server name (Istio 2.15). And so it is for a port that declares no protocol: requests are told
from other bytes by how a connection begins (Istio 2.14). To read either a listener waits for the client to speak, so it does
that on the ports alone that have such a service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from mizzen.compile.protos import duration, uint32
from mizzen.compile.resource import pack
from mizzen.resources.key import Key
from mizzen.resources.protocols import DETECTION_TIMEOUT
from mizzen.stubs.envoy.config.core.v3.address_pb2 import CidrRange
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from mizzen.stubs.envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector


class Branch(NamedTuple):
    """``subnet`` and ``server_name`` are "" for any; ``route`` is the filter that it asks for.

    ``requests`` is the route configuration for connections that begin with a request, "" if nobody looks for one.
    """

    route: str
    subnet: str = ""
    server_name: str = ""
    requests: str = ""
    origin: Key = Key("", "", "")

    def match(self) -> FilterChainMatch:
        """Returns what a connection must have to take this branch, beside the port."""
        match = FilterChainMatch()
        if self.subnet:
            match.prefix_ranges.append(network(self.subnet))
        if self.server_name:
            match.server_names.append(self.server_name)
        return match


def network(text: str) -> CidrRange:
    """Returns a subnet, or an address as a subnet of its own."""
    address, _, length = text.partition("/")
    return CidrRange(address_prefix=address, prefix_len=uint32(int(length or 32)))


def name_reader(ports: Collection[int] = ()) -> ListenerFilter:
    """Builds the filter that reads server names, of connections to these ports alone; without any, of all."""
    reader = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TlsInspector()))
    return _of_ports(reader, ports)


def find_requests(listener: Listener, ports: Collection[int] = (), *, but: Collection[int] = ()) -> None:
    """Has a listener look whether connections to these ports begin with a request; without any, all connections ``but`` those
    to some.

    A client that says nothing for a second waits for the server, most likely: its connection goes on as one of bytes. Istio
    waits for ever.
    """
    inspector = ListenerFilter(name="envoy.filters.listener.http_inspector", typed_config=pack(HttpInspector()))
    if but:
        inspector.filter_disabled.CopyFrom(_among(but))
    listener.listener_filters.append(_of_ports(inspector, ports))
    listener.listener_filters_timeout.CopyFrom(duration(DETECTION_TIMEOUT))
    listener.continue_on_listener_filters_timeout = True


def of_requests(chain: FilterChain) -> FilterChain:
    """Has a chain take the connections that begin with a request. One of HTTP/1.0 does not count, as in Istio."""
    chain.filter_chain_match.application_protocols.extend(("http/1.1", "h2c"))
    return chain


def _of_ports(reader: ListenerFilter, ports: Collection[int]) -> ListenerFilter:
    if ports:
        reader.filter_disabled.not_match.CopyFrom(_among(ports))
    return reader


def _among(ports: Collection[int]) -> ListenerFilterChainMatchPredicate:
    rules = [_port(number) for number in sorted(set(ports))]
    return rules[0] if len(rules) == 1 else _any_of(rules)


def _port(number: int) -> ListenerFilterChainMatchPredicate:
    rule = ListenerFilterChainMatchPredicate()
    rule.destination_port_range.start, rule.destination_port_range.end = number, number + 1
    return rule


def _any_of(rules: Iterable[ListenerFilterChainMatchPredicate]) -> ListenerFilterChainMatchPredicate:
    rule = ListenerFilterChainMatchPredicate()
    rule.or_match.rules.extend(rules)
    return rule
