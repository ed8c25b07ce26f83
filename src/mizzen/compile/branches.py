"""Branches: filter chains for connections whose destination alone does not say which service they are for.

That is so for services of ServiceEntries that have no address of their own: they share a port, and are told apart by a subnet
or, where clients speak TLS, by the server name (Istio 2.15). To read the name a listener waits for the client to speak, so it
does that on the ports alone that have such a service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mizzen.compile.protos import uint32
from mizzen.compile.resource import pack
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.core.v3.address_pb2 import CidrRange
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import (
    FilterChainMatch,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from mizzen.stubs.envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector


class Branch(NamedTuple):
    """``subnet`` and ``server_name`` are "" for any; ``route`` is the filter that it asks for."""

    route: str
    subnet: str = ""
    server_name: str = ""
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


def name_reader(ports: Iterable[int] = ()) -> ListenerFilter:
    """Builds the filter that reads server names, of connections to these ports alone; without any, of all."""
    reader = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TlsInspector()))
    rules = [_port(number) for number in ports]
    if rules:
        among = rules[0] if len(rules) == 1 else _any_of(rules)
        reader.filter_disabled.not_match.CopyFrom(among)
    return reader


def _port(number: int) -> ListenerFilterChainMatchPredicate:
    rule = ListenerFilterChainMatchPredicate()
    rule.destination_port_range.start, rule.destination_port_range.end = number, number + 1
    return rule


def _any_of(rules: Iterable[ListenerFilterChainMatchPredicate]) -> ListenerFilterChainMatchPredicate:
    rule = ListenerFilterChainMatchPredicate()
    rule.or_match.rules.extend(rules)
    return rule
