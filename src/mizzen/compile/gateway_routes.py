"""Routes of a gateway: the virtual hosts of its ports, each with the routes of all VirtualServices for it (Istio 2.3, 2.18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mizzen.compile.resource import XdsResource
from mizzen.compile.route_matches import is_catch_all
from mizzen.compile.routes import BuiltHost, VirtualHostView, encoded_host, joined, routes_of
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost


@dataclass(frozen=True)
class GatewayHostView:
    """Everything that a virtual host of a gateway depends on.

    ``gateways`` go with the VirtualServices of ``host``: the names of the Gateways to which each is bound here. ``redirect``
    has requests sent to HTTPS: on this port, on the port of the request if it is 0, not at all if it is None.
    """

    host: VirtualHostView
    gateways: tuple[frozenset[str], ...]
    redirect: int | None = None
    origins: tuple[Key, ...] = ()


@dataclass(frozen=True)
class GatewayRoutesView:
    """Everything that a route configuration of a gateway depends on."""

    name: str
    hosts: tuple[GatewayHostView, ...]


def build_gateway_host(view: GatewayHostView) -> BuiltHost | None:
    """Builds a virtual host; None where no VirtualService has a route for it, and it only answers 404."""
    host, origins = view.host, list(view.origins)
    origins += [host.mesh_config.key] if host.mesh_config else []
    routes: list[Route] = []
    for rule, gateways in zip(host.virtual_services, view.gateways, strict=True):
        if found := list(routes_of(host, rule, gateways)):
            routes += found
            origins += rule.origins
    # One VirtualService must not hide another, so what takes every request comes last (Istio's SortVHostRoutes).
    routes.sort(key=lambda route: is_catch_all(route.match))
    message = VirtualHost(
        name=f"{host.host}:{host.port}", domains=host.domains, routes=routes, include_request_attempt_count=True
    )
    if view.redirect == 0:
        message.require_tls = VirtualHost.ALL
    elif view.redirect:
        del message.routes[:]
        message.routes.append(_to_https(view.redirect))
    elif not routes:
        return None
    return BuiltHost(encoded_host(message), tuple(dict.fromkeys(origins)))


def build_gateway_routes(
    view: GatewayRoutesView, build: Callable[[GatewayHostView], BuiltHost | None] = build_gateway_host
) -> XdsResource:
    """Builds the route configuration of a port; a host that is not in it is answered with 404."""
    return joined(view.name, [built for host in view.hosts if (built := build(host))])


def _to_https(port: int) -> Route:
    """Builds the redirect to a port that is not HTTPS's own, which Envoy's ``require_tls`` cannot name."""
    route = Route(name="https-redirect", match=RouteMatch(prefix="/"))
    route.redirect.https_redirect = True
    route.redirect.port_redirect = port
    return route
