"""What a proxy is told when there is no resource of a name that it asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mizzen.compile import connection_limits, names
from mizzen.compile.rate_limits import is_slot, no_limit
from mizzen.compile.resource import ENDPOINTS, FILTERS, ROUTES, TypeUrl, XdsResource, encode
from mizzen.compile.tcp_routes import TcpRouteView, build_tcp_route
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_pb2
from mizzen.stubs.envoy.config.route.v3 import route_pb2


def build_nothing(type_url: TypeUrl, name: str) -> XdsResource:
    """Returns what stands for a missing assignment, route configuration, TCP route or limit; a KeyError for other types.

    Envoy waits for these (up to ``initial_fetch_timeout``) when it has asked for them, and the listener or cluster
    that needs them waits along, so "there is none" is said with an empty one.
    """
    return _BUILDERS[type_url](name)


def _no_endpoints(name: str) -> XdsResource:
    return encode(name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))


def _no_routes(name: str) -> XdsResource:
    return encode(name, route_pb2.RouteConfiguration(name=name))


def _no_filter(name: str) -> XdsResource:
    if is_slot(name):
        return no_limit(name)
    if connection_limits.is_slot(name):
        return connection_limits.no_limit(name)
    return build_tcp_route(TcpRouteView(name, names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)))


_BUILDERS: Mapping[TypeUrl, Callable[[str], XdsResource]] = {
    ENDPOINTS: _no_endpoints,
    ROUTES: _no_routes,
    FILTERS: _no_filter,
}
