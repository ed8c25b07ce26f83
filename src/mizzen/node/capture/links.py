"""Links, addresses and routes, through rtnetlink.

Every function acts on the network namespace of the thread that calls it and blocks for one or two milliseconds.
Failures are OSErrors with the kernel's number, so that nobody else has to know pyroute2's exceptions.
"""

from __future__ import annotations

import errno
import importlib
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

_MAIN_TABLE = 254
_LINK_SCOPE = 253
_GLOBAL_SCOPE = "00"
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)  # the last for "blackhole"

# By which routes that Mizzen adds to somebody else's namespace are found again (`ip route` shows it as `proto 109`);
# no daemon has it in iproute2's rt_protos.
OUR_ROUTES = 109


@dataclass(frozen=True)
class Occupied:
    """What this host uses: ``networks`` of its addresses and routes, and the ``links`` over which routes lead."""

    networks: tuple[IPv4Network, ...]
    links: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """The two ends of a veth: ``outer`` is the name on the host, ``inner`` the name inside the namespace."""

    outer: str
    inner: str
    hardware_address: str


def occupied() -> Occupied:
    """Returns what addresses and routes of IPv4 there are; default routes count as links but not as networks."""
    with _routing() as netlink:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}
        routes = list(netlink.get_routes(family=socket.AF_INET))
        addresses = list(netlink.get_addr(family=socket.AF_INET))
    networks = [_network(address.get_attr("IFA_ADDRESS"), address["prefixlen"]) for address in addresses]
    networks += [_network(route.get_attr("RTA_DST"), route["dst_len"]) for route in routes if route["dst_len"]]
    links = {index for route in routes if route.get_attr("RTA_TABLE") == _MAIN_TABLE for index in _outputs(route)}
    return Occupied(tuple(dict.fromkeys(networks)), tuple(sorted(names[index] for index in links if index in names)))


def link_names(prefix: str) -> list[str]:
    """Returns the names of the links that start with ``prefix``."""
    with _routing() as netlink:
        names = [link.get_attr("IFLA_IFNAME") for link in netlink.get_links()]
    return [name for name in names if name.startswith(prefix)]


def add_bridge(name: str, hardware_address: str) -> None:
    """Adds a bridge that is down; no spanning tree, so that a new port forwards at once."""
    with _routing() as netlink:
        netlink.link("add", ifname=name, kind="bridge", address=hardware_address, br_stp_state=0)


def bring_up(name: str, address: IPv4Interface) -> None:
    """Gives a link its address and starts it."""
    with _routing() as netlink:
        index = _index(netlink, name)
        netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        netlink.link("set", index=index, state="up")


def add_pair(pair: Pair, namespace: int) -> None:
    """Adds a veth with one end here, down, and the other in the namespace of the descriptor."""
    inner = {"ifname": pair.inner, "net_ns_fd": namespace, "address": pair.hardware_address}
    with _routing() as netlink:
        netlink.link("add", ifname=pair.outer, kind="veth", peer=inner)


def attach(name: str, bridge: str) -> None:
    """Makes a link a port of a bridge and starts it."""
    with _routing() as netlink:
        netlink.link("set", index=_index(netlink, name), master=_index(netlink, bridge), state="up")


def configure_inside(name: str, address: IPv4Interface, gateway: IPv4Address) -> None:
    """Starts loopback and the given link, with a default route over it: the whole network of a namespace."""
    with _routing() as netlink:
        netlink.link("set", index=_index(netlink, "lo"), state="up")
        index = _index(netlink, name)
        netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        netlink.link("set", index=index, state="up")
        netlink.route("add", dst="default", gateway=str(gateway))


def open_way(block: IPv4Network, address: IPv4Address) -> None:
    """Makes sure that there is a route to ``block``, if need be one over the link that has ``address``.

    Raises OSError with EADDRNOTAVAIL if no link has it, ENETDOWN if its link is down.
    """
    with _routing() as netlink:
        owners = [found["index"] for found in netlink.get_addr(family=socket.AF_INET, address=str(address))]
        if not owners:
            raise OSError(errno.EADDRNOTAVAIL, f"no link has the address {address}")
        try:
            netlink.route("get", dst=str(block[1]))
        except netlink_error() as error:
            if error.args[0] not in _NO_WAY:
                raise
            netlink.route("add", dst=str(block), oif=owners[0], scope=_LINK_SCOPE, proto=OUR_ROUTES)


def first_address() -> IPv4Address | None:
    """Returns an IPv4 address by which others call, or None."""
    with _routing() as netlink:
        for found in netlink.get_addr(family=socket.AF_INET):
            address = IPv4Address(found.get_attr("IFA_ADDRESS"))
            if not address.is_loopback:
                return address
    return None


def has_address(address: IPv4Address) -> bool:
    """Says whether any link has this address."""
    with _routing() as netlink:
        return any(netlink.get_addr(family=socket.AF_INET, address=str(address)))


def close_way(block: IPv4Network) -> None:
    """Removes the route that :func:`open_way` has added, if there is one."""
    with _routing() as netlink:
        for route in netlink.get_routes(family=socket.AF_INET, proto=OUR_ROUTES):
            if route.get_attr("RTA_DST") == str(block.network_address) and route["dst_len"] == block.prefixlen:
                with _gone(errno.ESRCH):
                    oif = route.get_attr("RTA_OIF")
                    netlink.route("del", dst=str(block), oif=oif, scope=_LINK_SCOPE, proto=OUR_ROUTES)


def has_ipv6_addresses() -> bool:
    """Says whether any link has an IPv6 address by which others than its neighbours could call."""
    try:
        lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
    except FileNotFoundError:
        return False
    return any(line.split()[3] == _GLOBAL_SCOPE for line in lines)


def delete_link(name: str) -> None:
    """Removes a link, and the other end of a veth with it; nothing if there is none of that name."""
    with _routing() as netlink:
        found = netlink.link_lookup(ifname=name)
        if found:
            _delete(netlink, found[0])


def delete_bridge(name: str) -> None:
    """Removes a bridge and all links that are its ports; nothing if there is none of that name."""
    with _routing() as netlink:
        found = netlink.link_lookup(ifname=name)
        if not found:
            return
        for port in [link["index"] for link in netlink.get_links() if link.get_attr("IFLA_MASTER") == found[0]]:
            _delete(netlink, port)
        _delete(netlink, found[0])


def _delete(netlink: Any, index: int) -> None:
    with _gone(errno.ENODEV):
        netlink.link("del", index=index)


@contextmanager
def _gone(number: int) -> Iterator[None]:
    """Takes it for done if what is to be removed is not there: the end of its namespace may have been quicker."""
    try:
        yield
    except netlink_error() as error:
        if error.args[0] != number:
            raise


def _outputs(route: Any) -> Iterable[int]:
    if (index := route.get_attr("RTA_OIF")) is not None:
        yield index
    for hop in route.get_attr("RTA_MULTIPATH") or ():
        yield hop["oif"]


def _network(address: str, prefix: int) -> IPv4Network:
    return IPv4Network((address, prefix), strict=False)


def _index(netlink: Any, name: str) -> int:
    found: list[int] = netlink.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"there is no link {name}")
    return found[0]


def netlink_error() -> type[Exception]:
    """Returns pyroute2's exception; its import takes 0.1 s and is left until it is needed."""
    error: type[Exception] = importlib.import_module("pyroute2").NetlinkError
    return error


@contextmanager
def _routing() -> Iterator[Any]:
    with importlib.import_module("pyroute2").IPRoute() as netlink:
        try:
            yield netlink
        except netlink_error() as error:
            raise OSError(*error.args[:2]) from error
