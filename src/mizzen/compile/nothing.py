"""What a proxy is told when there is no resource of a name that it asked for."""

from __future__ import annotations

from mizzen.compile import names
from mizzen.compile.rate_limits import is_slot, no_limit
from mizzen.compile.resource import ENDPOINTS, FILTERS, ROUTES, TypeUrl, XdsResource, encode
from mizzen.compile.tcp_routes import TcpRouteView, build_tcp_route
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_pb2
from mizzen.stubs.envoy.config.route.v3 import route_pb2


def build_nothing(type_url: TypeUrl, name: str) -> XdsResource | None:
    """Returns what stands for a missing assignment, route configuration, TCP route or limit; None for the other types.

    Envoy waits for these (up to ``initial_fetch_timeout``) when it has asked for them, and the listener or cluster
    that needs them waits along, so "there is none" is said with an empty one.
    """
    if type_url == ENDPOINTS:
        return encode(name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))
    if type_url == ROUTES:
        return encode(name, route_pb2.RouteConfiguration(name=name))
    if type_url == FILTERS and is_slot(name):
        return no_limit(name)
    if type_url == FILTERS:
        return build_tcp_route(TcpRouteView(name, names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)))
    return None
