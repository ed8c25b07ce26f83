"""The routes of VirtualServices as plain values, in the form in which several analyzers go through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.values import Values, elements, mapping, text, texts
from mizzen.resources.gateway_names import MESH, for_mesh
from mizzen.resources.paths import join


@dataclass(frozen=True)
class RouteDestination:
    """A destination of a route: its field's path, what it says, and whether it gets copies of requests alone."""

    path: str
    value: Values
    mirror: bool = False

    @property
    def host(self) -> str:
        return text(self.value, "host")

    @property
    def subset(self) -> str:
        return text(self.value, "subset")


def destinations(route_rule: Item) -> Iterator[RouteDestination]:
    """Yields the destinations of all routes of a VirtualService, in the order in which they are written."""
    for kind in ("http", "tls", "tcp"):
        for index, route in elements(route_rule.spec, kind):
            path = join(f"spec.{kind}", index)
            for position, one in elements(route, "route"):
                yield RouteDestination(f"{join(f'{path}.route', position)}.destination", mapping(one, "destination"))
            if kind == "http":
                yield from _mirrors(path, route)


def _mirrors(path: str, route: Values) -> Iterator[RouteDestination]:
    if mapping(route, "mirror"):
        yield RouteDestination(f"{path}.mirror", mapping(route, "mirror"), mirror=True)
    for index, one in elements(route, "mirrors"):
        where = f"{join(f'{path}.mirrors', index)}.destination"
        yield RouteDestination(where, mapping(one, "destination"), mirror=True)


def gateways(route_rule: Item) -> list[tuple[int, str]]:
    """Returns the gateways that a VirtualService names, without ``mesh``, each with its index."""
    return [(index, name) for index, name in enumerate(texts(route_rule.spec, "gateways")) if name != MESH]


def in_mesh(route_rule: Item) -> bool:
    """Says whether sidecars follow a VirtualService."""
    return for_mesh(texts(route_rule.spec, "gateways"))
