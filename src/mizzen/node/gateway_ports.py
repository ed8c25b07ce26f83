"""The ports of this host's gateways: the one that a Gateway asks for, or the nearest that can be had.

As a Kubernetes Service would lead from 80 to 8080: where this process may not listen on a port below 1024, or somebody else
does, the gateway gets another one, and its users are told. All replicas of a gateway share their ports (SO_REUSEPORT), so that
one can take the place of another.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator

from mizzen.node.ports import claim

_PRIVILEGED = 1024
# 80 becomes 8080, 443 becomes 8443.
_ABOVE = 8000
_TRIES = 200

Gateway = tuple[str, str]
"""A gateway's Workload: namespace and name."""


class GatewayPorts:
    """The ports that this process has given to gateways."""

    def __init__(self) -> None:
        self._taken: dict[Gateway, dict[tuple[tuple[str, ...], int], tuple[int, socket.socket]]] = {}
        self._users: dict[Gateway, int] = {}

    def enter(self, gateway: Gateway) -> None:
        """Counts a replica of a gateway."""
        self._users[gateway] = self._users.get(gateway, 0) + 1

    def leave(self, gateway: Gateway) -> None:
        """The replica is gone; after the last one its ports are free."""
        self._users[gateway] -= 1
        if not self._users[gateway]:
            del self._users[gateway]
            for _, held in self._taken.pop(gateway, {}).values():
                held.close()

    def port(self, gateway: Gateway, addresses: tuple[str, ...], number: int) -> int:
        """Returns the port for ``number`` at all of its addresses, the same as long as the gateway has a replica; 0 where
        none can be had.
        """
        taken = self._taken.setdefault(gateway, {})
        if (addresses, number) not in taken:
            for port in candidates(number):
                if held := _claim(addresses, port):
                    taken[addresses, number] = (port, held)
                    break
        return taken[addresses, number][0] if (addresses, number) in taken else 0


def candidates(number: int) -> Iterator[int]:
    """Yields the ports to try for one that a Gateway asks for, best first."""
    yield number
    first = number + _ABOVE if number < _PRIVILEGED else number + 1
    yield from range(first, min(first + _TRIES, 65536))


def _claim(addresses: tuple[str, ...], port: int) -> socket.socket | None:
    """Returns the socket that holds the claim to a port; None where somebody listens on it, or this process may not.

    As in :mod:`mizzen.node.ports`, the UDP port of the same number tells other meshes of this host.
    """
    return claim(port, functools.partial(_probe, addresses))


def _probe(addresses: tuple[str, ...], port: int) -> None:
    """Raises OSError unless an Envoy can listen there."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections that have ended are in nobody's way; a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
