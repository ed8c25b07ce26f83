"""The hosts of Gateways' servers, which may be for one namespace alone: ``prod/*.example.com``, ``./shop``, ``*/*``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.values import Values, elements, mappings, number, text, texts
from mizzen.resources import hosts


@dataclass(frozen=True, eq=False)
class Server:
    """One server of a Gateway: its index, and its hosts as pairs of a namespace (``*`` for all) and a name."""

    gateway: Item
    index: int
    value: Values
    names: tuple[tuple[str, str], ...]

    @property
    def port(self) -> int:
        return number(self.value, "port", "number")

    @property
    def bind(self) -> str:
        return text(self.value, "bind")

    def offered_to(self, namespace: str) -> list[str]:
        """Returns the hosts that VirtualServices of a namespace may use."""
        return [name for scope, name in self.names if scope in ("*", namespace)]

    def overlaps(self, other: Server) -> bool:
        """Says whether one request can be for both."""
        return any(
            hosts.matches(name, twin) and (scope == twin_scope or "*" in (scope, twin_scope))
            for scope, name in self.names
            for twin_scope, twin in other.names
        )


def hosts_for(gateway: Item) -> Iterator[Server]:
    """Yields the servers of an Istio Gateway."""
    for index, server in elements(gateway.spec, "servers"):
        names = tuple(_scoped(host, gateway.namespace) for host in texts(server, "hosts"))
        yield Server(gateway, index, server, names)


def _scoped(host: str, namespace: str) -> tuple[str, str]:
    scope, slash, name = host.rpartition("/")
    if not slash:
        return "*", hosts.comparable(host)
    return namespace if scope == "." else scope, hosts.comparable(name)


def listener_hosts(gateway: Item) -> list[str]:
    """Returns the hosts of a Gateway of the Gateway API; a listener without one serves all."""
    return [text(listener, "hostname") or "*" for listener in mappings(gateway.spec, "listeners")]
