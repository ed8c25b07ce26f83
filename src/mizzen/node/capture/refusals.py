"""Addresses that nobody has any more: who calls one is told so at once, by a route that leads nowhere (rtnetlink).

Written out, as ``flows.py`` is: this is done in each namespace of a host, where pyroute2 takes 2.5 ms for a route and this
25 µs. Numbers are those of linux/rtnetlink.h. Every function acts on the network namespace of the thread that calls it and
fails with an OSError.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address

from mizzen.node.capture import netlink
from mizzen.node.capture.links import OUR_ROUTES
from mizzen.node.capture.netlink import attribute, attributes

_NEW, _DELETE, _LIST = 24, 25, 26
_DESTINATION = 1
_MAIN_TABLE = 254
_UNREACHABLE = 7
# Family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
_ROUTE = struct.Struct("=BBBBBBBBI")


def refuse(addresses: Collection[IPv4Address]) -> None:
    """Has calls of these addresses fail at once (EHOSTUNREACH), and what is sent there over older connections go nowhere.

    A route to just such an address that somebody else has made is left alone (FileExistsError).
    """
    with _routing() as kernel:
        for address in addresses:
            try:
                _change(kernel, _NEW, netlink.CREATE | netlink.EXCLUSIVELY, address)
            except FileExistsError:
                if address not in _refused(kernel):
                    raise


def admit(addresses: Iterable[IPv4Address]) -> None:
    """Takes :func:`refuse` back; nothing for what is not refused."""
    with _routing() as kernel:
        for address in addresses:
            with contextlib.suppress(ProcessLookupError):  # ESRCH: there is no such route
                _change(kernel, _DELETE, 0, address)


def admit_all() -> None:
    """Takes back whatever was refused here, by whichever run."""
    with _routing() as kernel:
        refused = _refused(kernel)
    admit(refused)


def _routing() -> socket.socket:
    return netlink.connect(socket.NETLINK_ROUTE)


def _change(kernel: socket.socket, kind: int, flags: int, address: IPv4Address) -> None:
    route = _ROUTE.pack(socket.AF_INET, 32, 0, 0, _MAIN_TABLE, OUR_ROUTES, 0, _UNREACHABLE, 0)
    body = route + attribute(_DESTINATION, address.packed)
    kernel.send(netlink.message(kind, netlink.REQUEST | netlink.ACKNOWLEDGE | flags, body))
    for _ in netlink.answers(kernel, f"change the route to {address}"):
        pass  # Only its end says something.


def _refused(kernel: socket.socket) -> list[IPv4Address]:
    every = _ROUTE.pack(socket.AF_INET, *[0] * 8)
    kernel.send(netlink.message(_LIST, netlink.REQUEST | netlink.DUMP, every))
    routes = list(netlink.answers(kernel, "list its routes"))
    ours = (OUR_ROUTES, _UNREACHABLE)
    # Each is to a single address, so that has a destination.
    return [IPv4Address(dict(attributes(one[_ROUTE.size :]))[_DESTINATION]) for one in routes if _what(one) == ours]


def _what(route: bytes) -> tuple[int, int]:
    """Returns the protocol and the type."""
    _, _, _, _, _, protocol, _, kind, _ = _ROUTE.unpack_from(route)
    return protocol, kind
