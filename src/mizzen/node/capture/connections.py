"""TCP connections as the kernel lists them, through sock_diag(7), and their end by force.

Written out, as ``flows.py``: pyroute2 lists connections but does not end them. Numbers are those of
linux/sock_diag.h and linux/inet_diag.h. Every function acts on the network namespace of the thread that calls it, blocks
for a millisecond, and fails with an OSError.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Address

from mizzen.node.capture import netlink

_NETLINK_SOCK_DIAG = 4
_LIST, _DESTROY = 20, 21
# inet_diag_req_v2 without the socket: family, protocol, extensions, padding, states.
_WANTED = struct.Struct("=BBBBI")
# inet_diag_msg up to the socket, which is in inet_diag_sockid: ports, addresses, link, cookie.
_STATE = struct.Struct("=BBBB")
_SOCKET = struct.Struct("=4s16s16s12s")

_LISTEN, _TIME_WAIT = 10, 6
_CONNECTED = 0xFFF & ~(1 << _LISTEN | 1 << _TIME_WAIT | 1)


def break_off(peers: Collection[IPv4Address]) -> int:
    """Ends all TCP connections with these addresses, also those that are being made, with an error on this side; the other
    is told (RST) if it can be reached. Returns how many there were.
    """
    return _break_off(lambda one: one in peers)


def break_off_all() -> int:
    """The same for the connections with all addresses but those of loopback."""
    return _break_off(lambda one: not one.is_loopback)


def _break_off(is_meant: Callable[[IPv4Address], bool]) -> int:
    with netlink.connect(_NETLINK_SOCK_DIAG) as kernel:
        found = [one for one in _connections(kernel) if is_meant(_peer(one))]
        for one in found:
            # No acknowledgement: that one has ended meanwhile is no error.
            kernel.send(_message(_DESTROY, netlink.REQUEST, one))
    return len(found)


def _connections(kernel: socket.socket) -> Iterator[bytes]:
    """Yields what identifies each connection of IPv4."""
    kernel.send(_message(_LIST, netlink.REQUEST | netlink.DUMP, bytes(_SOCKET.size)))
    for body in netlink.answers(kernel, "list its connections"):
        yield body[_STATE.size : _STATE.size + _SOCKET.size]


def _peer(connection: bytes) -> IPv4Address:
    return IPv4Address(_SOCKET.unpack(connection)[2][:4])


def _message(kind: int, flags: int, connection: bytes) -> bytes:
    body = _WANTED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _CONNECTED) + connection
    return netlink.message(kind, flags, body)
