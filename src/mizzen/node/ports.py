"""Free ports on loopback, for instances whose traffic is captured explicitly.

Several meshes, their tests and everything else on the machine share 127.0.0.1. A port is given out when nothing is
bound to it over TCP, and stays given out for as long as this process holds the UDP port of the same number: another
Mizzen then passes it over, although nothing listens on its TCP port yet or while an application restarts. The kernel
ends the claim with the process, so nothing is left to clean up. Ports are taken from outside the range from which the
kernel takes the local ports of outgoing connections, so that no connection can be in the way of a listener.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below Linux's and macOS' usual ephemeral ranges (32768 and 49152 up), above the ports that services are known by.
_FIRST, _LAST = 20000, 32767
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NoFreePortError(Exception):
    """All ports of the range are taken."""


class Ports:
    """The ports that this process has given out. Not for use from several threads."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - it spreads meshes over the range, it guards nothing
        self._claims: dict[int, socket.socket] = {}

    def take(self) -> int:
        """Returns a port that is free and is given to nobody else until :meth:`give_back`."""
        for port in candidates(_FIRST, _LAST, _ephemeral_range(), self._chance.random()):
            if port not in self._claims and (held := claim(port, _probe)):
                self._claims[port] = held
                return port
        raise NoFreePortError(f"no free TCP port on {LOOPBACK} between {_FIRST} and {_LAST}")

    def take_back(self, port: int) -> bool:
        """Claims a port that an earlier process had given out; says whether nobody else has claimed it since.

        What listens on it is not looked at: it may be the application that the port was for.
        """
        if held := claim(port):
            self._claims[port] = held
        return held is not None

    def give_back(self, port: int) -> None:
        """Ends the claim on a port; one that is not claimed is no error."""
        if held := self._claims.pop(port, None):
            held.close()

    def close(self) -> None:
        for port in list(self._claims):
            self.give_back(port)


def candidates(first: int, last: int, ephemeral: tuple[int, int], chance: float) -> Iterator[int]:
    """Yields the ports of a range once around, from a place by ``chance`` in [0, 1); those of the ephemeral range last."""
    count = last - first + 1
    offset = int(count * chance)
    low, high = ephemeral
    for last_resort in (False, True):
        for step in range(count):
            port = first + (offset + step) % count
            if (low <= port <= high) is last_resort:
                yield port


def _ephemeral_range() -> tuple[int, int]:
    if not _EPHEMERAL.exists():
        return (49152, 65535)
    low, high = _EPHEMERAL.read_text().split()
    return int(low), int(high)


def claim(port: int, probe: Callable[[int], None] | None = None) -> socket.socket | None:
    """Returns the socket that holds the claim, or None where another process has it, or ``probe`` raises OSError."""
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        held.bind((LOOPBACK, port))
        if probe:
            probe(port)
    except OSError:
        held.close()
        return None
    return held


def _probe(port: int) -> None:
    """Raises OSError unless an application can listen on a port.

    The socket is bound without SO_REUSEADDR on all addresses: so a listener on any of them counts as taken, and so does a
    port whose old connections are still in TIME_WAIT, which would stop an application that does not set it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("0.0.0.0", port))
