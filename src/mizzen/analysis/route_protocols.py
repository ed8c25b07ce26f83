"""Routes for requests on a service that only carries bytes, and the like: they have no effect.

Where no protocol is declared it is guessed, so only of what declares another one is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.routes import in_mesh
from mizzen.analysis.values import Values, mappings, number, text, texts
from mizzen.analysis.world import World
from mizzen.resources import hosts
from mizzen.resources.paths import join
from mizzen.resources.protocols import Protocol, declared_protocol


def routes(world: World) -> Iterator[Message]:
    """MZN0006 for a host of a VirtualService none of whose ports its routes are for."""
    for item in world.of("VirtualService"):
        kinds = [kind for kind in ("http", "tls", "tcp") if mappings(item.spec, kind)]
        for index, host in enumerate(texts(item.spec, "hosts")) if in_mesh(item) else ():
            full = world.destinations.full(host, item.namespace)
            found = None if hosts.is_wildcard(full) else world.destinations.find(host, item)
            if found is not None and found.item.kind == "Service":
                yield from _useless(item, join("spec.hosts", index), kinds, found.item)


def _useless(item: Item, path: str, kinds: list[str], service: Item) -> Iterator[Message]:
    ports = mappings(service.spec, "ports")
    protocols = [(number(port, "port"), _protocol(port)) for port in ports]
    if not kinds or not protocols or any(protocol is None for _, protocol in protocols):
        return
    if any(_is_for(kind, protocol) for kind in kinds for _, protocol in protocols if protocol):
        return
    listed = ", ".join(f"{port} ({protocol})" for port, protocol in protocols)
    text_ = f"its `{'` and `'.join(kinds)}` routes have no effect on {service.shown}, whose ports are {listed}"
    yield message("MZN0006", item, path, text_)


def _protocol(port: Values) -> Protocol | None:
    return declared_protocol(text(port, "name"), text(port, "appProtocol") or None)


def _is_for(kind: str, protocol: Protocol) -> bool:
    if kind == "http":
        return protocol.is_http
    return protocol.is_tls if kind == "tls" else protocol is Protocol.TCP
