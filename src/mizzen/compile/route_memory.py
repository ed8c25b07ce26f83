"""What was made of a scope's routes, and what of it serves a later scope that differs in VirtualServices alone."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from mizzen.compile.routes import Source, VirtualHostView
from mizzen.mesh.model import Host
from mizzen.mesh.scope import ScopedService


class Asked(NamedTuple):
    """Whose routes to services are asked for: a port, who calls, and the domains if they are not the services' own."""

    port: int
    source: Source
    domains: tuple[str, ...] = ()
    with_port: bool = False
    proxyless: bool = False


class Heard(NamedTuple):
    """Whose routes to all services on some ports are asked for, because one listener hears the requests for all."""

    source: Source
    ports: tuple[int, ...]
    with_port: bool


Table: TypeAlias = dict[tuple[Host, int], VirtualHostView]
"""The virtual hosts of one listener, by host and port, each with the domains that it gets."""


@dataclass
class RouteMemory:
    """The views of services, each beside what it was made from, and tables of them.

    ``outdated`` are tables from before, of which some hosts are to be made anew. ``asking`` are those who ask: who has not
    asked between two changes is gone, and so is what was made for it.
    """

    views: dict[Asked, dict[Host, tuple[ScopedService, VirtualHostView]]] = field(default_factory=dict)
    tables: dict[Heard, Table] = field(default_factory=dict)
    outdated: dict[Heard, Table] = field(default_factory=dict)
    asking: set[Source] = field(default_factory=set)

    def after(self, rerouted: Set[Host] | None) -> RouteMemory:
        """Returns what serves after a change of these hosts' routes; with None others may have claimed the hosts, and no
        table serves.
        """
        now = RouteMemory({asked: made for asked, made in self.views.items() if asked.source in self.asking})
        if rerouted is None:
            return now
        for heard, table in self.tables.items():
            if heard.source in self.asking:
                concerned = not rerouted.isdisjoint(host for host, _ in table)
                (now.outdated if concerned else now.tables)[heard] = table
        return now
