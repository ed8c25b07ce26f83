"""Addresses that nobody has any more: who calls one is told so at once, by a route that leads nowhere (rtnetlink).

Written out, as ``flows.py`` is: this is done in each namespace of a host, where pyroute2 takes 2.5 ms for a route and this 0.025. Numbers
are those of linux/netlink.h and linux/rtnetlink.h. Every function acts on the network namespace of the thread that calls
it and fails with an OSError.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address

from mizzen.node.capture.links import OUR_ROUTES

_REQUEST, _ACKNOWLEDGE, _EXCLUSIVELY, _DUMP, _CREATE = 0x001, 0x004, 0x200, 0x300, 0x400
_ERROR, _DONE = 2, 3
_NEW, _DELETE, _LIST = 24, 25, 26
_DESTINATION = 1
_MAIN_TABLE = 254
_UNREACHABLE = 7
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, sender
# Family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")  # length, type


def refuse(addresses: Collection[IPv4Address]) -> None:
    """Has calls of these addresses fail at once (EHOSTUNREACH), and what is sent there over older connections go nowhere.

    A route to just such an address that somebody else has made is left alone (FileExistsError).
    """
    with _routing() as kernel:
        for address in addresses:
            try:
                _change(kernel, _NEW, _CREATE | _EXCLUSIVELY, address)
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
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)


def _change(kernel: socket.socket, kind: int, flags: int, address: IPv4Address) -> None:
    route = _ROUTE.pack(socket.AF_INET, 32, 0, 0, _MAIN_TABLE, OUR_ROUTES, 0, _UNREACHABLE, 0)
    destination = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), _DESTINATION) + address.packed
    kernel.send(_message(kind, _REQUEST | _ACKNOWLEDGE | flags, route + destination))
    answer = kernel.recv(1 << 12)
    _check(answer[_HEADER.size :], f"change the route to {address}")


def _refused(kernel: socket.socket) -> list[IPv4Address]:
    kernel.send(_message(_LIST, _REQUEST | _DUMP, _ROUTE.pack(socket.AF_INET, *[0] * 8)))
    found: list[IPv4Address] = []
    while True:
        received = kernel.recv(1 << 16)
        while received:
            length, kind, *_ = _HEADER.unpack_from(received)
            body, received = received[_HEADER.size : length], received[(length + 3) & ~3 :]
            if kind in (_ERROR, _DONE):
                _check(body, "list its routes")
                return found
            _, _, _, _, _, protocol, _, type_, _ = _ROUTE.unpack_from(body)
            if (protocol, type_) == (OUR_ROUTES, _UNREACHABLE):
                found.append(_destination(body[_ROUTE.size :]))


def _destination(attributes: bytes) -> IPv4Address:
    """Returns it from the attributes of a route to a single address, where it always is."""
    while True:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _DESTINATION:
            return IPv4Address(attributes[_ATTRIBUTE.size : length])
        attributes = attributes[(length + 3) & ~3 :]


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _check(body: bytes, what: str) -> None:
    """Answers, and the end of a list, begin with a number that is negative for an error."""
    if number := -struct.unpack_from("=i", body)[0]:
        raise OSError(number, f"the kernel does not {what}: {os.strerror(number)}")
