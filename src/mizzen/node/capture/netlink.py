"""Messages to the kernel and its answers, for what pyroute2 does not do or is too slow for. Numbers are linux/netlink.h's.

Failures are OSErrors with the kernel's number.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACKNOWLEDGE, EXCLUSIVELY, DUMP, CREATE = 0x001, 0x004, 0x200, 0x300, 0x400
NESTED = 0x8000
"""Of an attribute that is made of attributes."""
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, sender
_ATTRIBUTE = struct.Struct("=HH")  # length, type


def connect(family: int) -> socket.socket:
    """Makes a socket to a part of the kernel, in the network namespace of the thread that calls."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)


def message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def answers(kernel: socket.socket, what: str) -> Iterator[bytes]:
    """Yields the bodies of an answer up to its end; ``what`` is what was asked for, in words for the error."""
    while True:
        received = kernel.recv(1 << 16)
        while received:
            length, kind, *_ = _HEADER.unpack_from(received)
            body, received = received[_HEADER.size : length], received[_aligned(length) :]
            if kind in (_ERROR, _DONE):
                _check(body, what)
                return
            yield body


def attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def attributes(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the type of each attribute, without its flags, and its value."""
    while len(text) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(text)
        if length < _ATTRIBUTE.size:
            raise OSError(errno.EBADMSG, "an attribute in an answer of the kernel has no length")
        yield kind & ~NESTED, text[_ATTRIBUTE.size : length]
        text = text[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _check(body: bytes, what: str) -> None:
    """The end of an answer begins with a number that is negative for an error, and 0 for an acknowledgement."""
    number = -struct.unpack_from("=i", body)[0]
    if number > 0:
        raise OSError(number, f"the kernel does not {what}: {os.strerror(number)}")
