"""What the kernel remembers of packets that passed: connection tracking, through ctnetlink.

Written out, because a namespace may have ten thousands of flows and pyroute2 takes the better part of a millisecond to
read one. Numbers are those of linux/netfilter/nfnetlink_conntrack.h. As in ``links.py``, every function acts on the network
namespace of the thread that calls it, blocks, and fails with an OSError.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from mizzen.node.capture import netlink, sysctls
from mizzen.node.capture.netlink import NESTED, attribute, attributes

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102  # of the subsystem 1, connection tracking
_FAMILY = struct.Struct("!BBH")

_TUPLE_ORIG, _TUPLE_REPLY, _FILTER = 1, 2, 25
_TUPLE_PROTO = 2
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_FILTER_ORIG_FLAGS = 1
_BY_PROTOCOL_AND_PORT = 1 << 3 | 1 << 5


def forget_questions(port: int, *, redirected: bool) -> None:
    """Forgets DNS questions over UDP, so that new rules count for sockets that are kept open, too.

    Those that rules redirect to ``port``, or else all others. Rules are asked for the first packet of a flow only, and a
    resolver such as nginx's asks from one socket for as long as it lives: without this it would go on to ask where it asked
    before. Takes some 15 ms where any flow is known, since the kernel looks through those of all namespaces.
    """
    if not sysctls.tracked_flows():
        return
    redirection = attribute(_PROTO_SRC_PORT, struct.pack("!H", port))
    with netlink.connect(_NETLINK_NETFILTER) as kernel:
        for question, reply in list(_questions(kernel)):
            if (redirection in dict(attributes(reply))[_TUPLE_PROTO]) == redirected:
                # No acknowledgement: that a flow has ended meanwhile is no error.
                kernel.send(_message(_DELETE, netlink.REQUEST, attribute(_TUPLE_ORIG | NESTED, question)))


def _questions(kernel: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yields what identifies each of these flows, and what its answers look like, as the kernel writes it."""
    protocol = attribute(_PROTO_NUM, bytes([socket.IPPROTO_UDP])), attribute(_PROTO_DST_PORT, struct.pack("!H", 53))
    wanted = attribute(_TUPLE_ORIG | NESTED, attribute(_TUPLE_PROTO | NESTED, b"".join(protocol)))
    compared = attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", _BY_PROTOCOL_AND_PORT))
    kernel.send(_message(_GET, netlink.REQUEST | netlink.DUMP, wanted + attribute(_FILTER | NESTED, compared)))
    for body in netlink.answers(kernel, "tell its tracked connections"):
        flow = dict(attributes(body[_FAMILY.size :]))
        # A kernel before 5.8 does not filter.
        if all(part in dict(attributes(flow[_TUPLE_ORIG]))[_TUPLE_PROTO] for part in protocol):
            yield flow[_TUPLE_ORIG], flow[_TUPLE_REPLY]


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return netlink.message(kind, flags, _FAMILY.pack(socket.AF_INET, 0, 0) + body)
