"""The building functions of what leads away from a proxy, which all its instances and all scopes share."""

from __future__ import annotations

from functools import partial

from mizzen.compile import clusters, endpoints, listeners, routes, server_names, sni_routes, tcp_routes
from mizzen.compile.memory import remember, remember_in_use


class Builders:
    """The building functions, each with a memory of what it built from which view."""

    def __init__(self) -> None:
        self.cluster = remember(clusters.build_cluster)
        self.endpoints = remember(endpoints.build_endpoints)
        self.listener = remember(listeners.build_outbound)
        self.seat_listener = remember_in_use(listeners.build_seat_outbound)
        self.tcp_route = remember(tcp_routes.build_tcp_route)
        self.sni_listener = remember(sni_routes.build_sni_listener)
        self.sni_cluster = remember(sni_routes.build_sni_cluster)
        self.name_listener = remember(server_names.build_listener)
        self.name_cluster = remember(server_names.build_cluster)
        self.routes = remember_in_use(partial(routes.build_routes, build=remember(routes.build_host)))
