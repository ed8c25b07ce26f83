"""Which addresses instances get: a free private subnet for each mesh, and addresses from it in turn. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

PREFIX = 20

# RFC 1918. The upper quarter of 10/8 first: hand-numbered networks start at the bottom, Docker starts in 172.16/12, and
# home routers live in 192.168/16.
_RANGES = (IPv4Network("10.192.0.0/10"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))


def choose_subnet(taken: Iterable[IPv4Network], seed: int) -> IPv4Network | None:
    """Returns a /20 that overlaps nothing in ``taken``, or None.

    The same seed gives the same subnet where it is free, so that a mesh keeps its addresses from start to start.
    """
    occupied = [network for network in taken if network.prefixlen > 0]
    for candidate in _candidates(seed):
        if not any(candidate.overlaps(network) for network in occupied):
            return candidate
    return None


def _candidates(seed: int) -> Iterator[IPv4Network]:
    for whole in _RANGES:
        count = 1 << (PREFIX - whole.prefixlen)
        size = 1 << (32 - PREFIX)
        first = int(whole.network_address)
        for step in range(count):
            yield IPv4Network((first + (seed + step) % count * size, PREFIX))


class AddressesExhaustedError(Exception):
    """Every address of the subnet is in use."""


@dataclass
class AddressPool:
    """Hands out the addresses of a subnet in turn.

    An address that was given back is not handed out before all others have been: connections, caches and
    configuration that still name the instance that had it must not reach another one.
    """

    subnet: IPv4Network
    _used: set[int] = dataclasses.field(default_factory=set)
    _last: int = 1

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's own address."""
        return self.subnet[1]

    def take(self) -> IPv4Address:
        """Returns an address that nobody has; raises :class:`AddressesExhaustedError`."""
        places = self.subnet.num_addresses - 3  # without the network's, the bridge's and the broadcast address
        for step in range(1, places + 1):
            index = 2 + (self._last - 2 + step) % places
            if index not in self._used:
                self._used.add(index)
                self._last = index
                return self.subnet[index]
        raise AddressesExhaustedError(f"all {places} addresses of {self.subnet} are in use")

    def give_back(self, address: IPv4Address) -> None:
        """Takes an address back; it need not have been taken."""
        self._used.discard(int(address) - int(self.subnet.network_address))


def hardware_address(address: IPv4Address) -> str:
    """Returns the Ethernet address that goes with an IP address.

    Always the same one, so that no neighbour's table is wrong after an address has come round again. The second
    hexadecimal digit marks it as locally administered (IEEE 802).
    """
    return "02:6d:" + ":".join(f"{byte:02x}" for byte in address.packed)
