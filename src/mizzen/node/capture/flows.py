"""What the kernel remembers of packets that passed: connection tracking, through ctnetlink.

Written out, because a namespace may have ten thousands of flows and pyroute2 takes the better part of a millisecond to
read one. Numbers are those of linux/netlink.h and linux/netfilter/nfnetlink_conntrack.h. As in ``links.py``, every function
acts on the network namespace of the thread that calls it, blocks, and fails with an OSError.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from mizzen.node.capture import sysctls

_NETLINK_NETFILTER = 12
_REQUEST, _DUMP = 0x001, 0x300
_ERROR, _DONE = 2, 3
_GET, _DELETE = 0x101, 0x102  # of the subsystem 1, connection tracking
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, sender
_FAMILY = struct.Struct("!BBH")

_NESTED = 0x8000
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
    redirection = _attribute(_PROTO_SRC_PORT, struct.pack("!H", port))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        for question, reply in list(_questions(kernel)):
            if (redirection in dict(_attributes(reply))[_TUPLE_PROTO]) == redirected:
                # No acknowledgement: that a flow has ended meanwhile is no error.
                kernel.send(_message(_DELETE, _REQUEST, _attribute(_TUPLE_ORIG | _NESTED, question)))


def _questions(kernel: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yields what identifies each of these flows, and what its answers look like, as the kernel writes it."""
    protocol = _attribute(_PROTO_NUM, bytes([socket.IPPROTO_UDP])), _attribute(_PROTO_DST_PORT, struct.pack("!H", 53))
    wanted = _attribute(_TUPLE_ORIG | _NESTED, _attribute(_TUPLE_PROTO | _NESTED, b"".join(protocol)))
    compared = _attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", _BY_PROTOCOL_AND_PORT))
    kernel.send(_message(_GET, _REQUEST | _DUMP, wanted + _attribute(_FILTER | _NESTED, compared)))
    for body in _answers(kernel):
        flow = dict(_attributes(body[_FAMILY.size :]))
        # A kernel before 5.8 does not filter.
        if all(part in dict(_attributes(flow[_TUPLE_ORIG]))[_TUPLE_PROTO] for part in protocol):
            yield flow[_TUPLE_ORIG], flow[_TUPLE_REPLY]


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    while True:
        received = kernel.recv(1 << 16)
        while received:
            length, kind, *_ = _HEADER.unpack_from(received)
            body, received = received[_HEADER.size : length], received[_aligned(length) :]
            if kind in (_ERROR, _DONE):
                _check(body)
                return
            yield body


def _check(body: bytes) -> None:
    """The end of an answer begins with a number that is negative for an error."""
    number = -struct.unpack_from("=i", body)[0]
    if number > 0:
        raise OSError(number, f"the kernel does not tell its tracked connections: {os.strerror(number)}")


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    body = _FAMILY.pack(socket.AF_INET, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(_aligned(len(value)) - len(value))


def _attributes(text: bytes) -> Iterator[tuple[int, bytes]]:
    while len(text) >= 4:
        length, kind = struct.unpack_from("=HH", text)
        if length < 4:
            raise OSError(errno.EBADMSG, "an attribute of a tracked connection has no length")
        yield kind & ~_NESTED, text[4:length]
        text = text[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
