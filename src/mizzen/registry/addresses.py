"""Virtual addresses of services: where capture is transparent, a name resolves to one, and it leads into the sidecar.

They come from the block that Istio's automatic allocation uses (240.240.0.0/16, Istio 2.17), which nothing on the
Internet has. A service keeps its address for as long as it is known, across restarts: connections and DNS caches hold it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

BLOCK = ipaddress.IPv4Network("240.240.0.0/16")
"""Where the virtual addresses of services are; nothing real ever has one."""


class NoAddressLeftError(Exception):
    """There are more services than virtual addresses."""


def allocate(known: Mapping[str, str], hosts: Iterable[str]) -> dict[str, str]:
    """Returns an address for each host: the one it has, or a new one that starts from the hash of its name.

    Addresses of hosts that are gone are free again. Raises :class:`NoAddressLeftError` when the block is full.
    """
    wanted = sorted(set(hosts))
    # If two were ever given one address, the first of them keeps it.
    owners = {known[host]: host for host in reversed(wanted) if host in known}
    allocated = {host: address for address, host in owners.items()}
    taken = set(owners)
    for host in wanted:
        if host not in allocated:
            allocated[host] = _free(host, taken)
            taken.add(allocated[host])
    return dict(sorted(allocated.items()))


def _free(host: str, taken: set[str]) -> str:
    usable = BLOCK.num_addresses - 2
    start = int.from_bytes(hashlib.sha256(host.encode()).digest()[:4])
    for step in range(usable):
        address = str(BLOCK[1 + (start + step) % usable])
        if address not in taken:
            return address
    raise NoAddressLeftError(f"all {usable} virtual addresses of {BLOCK} are in use")
