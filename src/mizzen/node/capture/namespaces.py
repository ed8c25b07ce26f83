"""Makes and removes the network namespace of one instance.

The node's process holds the namespace with a descriptor and nothing else does, so it vanishes with the node however
that ends; its links go with it. ``host.py`` has made the bridge that it is tied to, ``transparent.py`` decides when.
All functions block, for some 15 ms.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mizzen.node.capture import links, nft, rules, sysctls
from mizzen.node.capture.addresses import hardware_address
from mizzen.node.capture.entering import in_namespace, new_namespace
from mizzen.node.capture.nameserver import DnsSockets, dns_sockets


@dataclass(frozen=True)
class Namespace:
    """The network of one instance. ``sockets`` are those of its DNS servers, opened inside it."""

    descriptor: int
    address: IPv4Address
    outer_link: str
    sockets: DnsSockets


def open_namespace(bridge: str, subnet: IPv4Network, address: IPv4Address) -> Namespace:
    """Makes a namespace with ``address``, its rules in force; what was made is undone if a step fails (OSError)."""
    pair = links.Pair(outer_name(address), rules.INSIDE_LINK, hardware_address(address))
    with contextlib.ExitStack() as undo:
        descriptor = new_namespace(sysctls.disable_ipv6_for_new_links)
        undo.callback(os.close, descriptor)
        # A leftover of that name would be of a run that crashed; its namespace has ended or is about to.
        links.delete_link(pair.outer)
        links.add_pair(pair, descriptor)
        undo.callback(links.delete_link, pair.outer)
        inner = IPv4Interface((address, subnet.prefixlen))
        sockets = in_namespace(descriptor, lambda: _furnish(inner, subnet[1]))
        for opened in sockets:
            undo.callback(opened.close)
        sysctls.disable_ipv6(pair.outer)
        links.attach(pair.outer, bridge)
        undo.pop_all()
    return Namespace(descriptor, address, pair.outer, sockets)


def close_namespace(namespace: Namespace) -> None:
    """Removes the links and lets go of the namespace; its DNS sockets are closed by whoever took them."""
    try:
        links.delete_link(namespace.outer_link)
    finally:
        os.close(namespace.descriptor)


def outer_name(address: IPv4Address) -> str:
    """Returns the name of the link on the host: from the address, which no other instance on this host has."""
    return f"mv{int(address):08x}"


def _furnish(address: IPv4Interface, gateway: IPv4Address) -> DnsSockets:
    """Runs inside: the rules first, so that no packet ever goes past them."""
    nft.apply(rules.namespace_rules(gateway))
    sysctls.keep_waiting_connections()  # for the other proxy, when one of two goes
    links.configure_inside(rules.INSIDE_LINK, address, gateway)
    return dns_sockets()
