from __future__ import annotations

import pytest

from mizzen.compile.nothing import build_nothing
from mizzen.compile.resource import CLUSTER, ENDPOINTS, ROUTES
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_pb2
from mizzen.stubs.envoy.config.route.v3 import route_pb2


def test_what_stands_for_nothing_is_versioned_by_content() -> None:
    assignment, again = build_nothing(ENDPOINTS, "a"), build_nothing(ENDPOINTS, "a")
    assert assignment == again
    assert endpoint_pb2.ClusterLoadAssignment.FromString(assignment.body).cluster_name == "a"
    other = build_nothing(ROUTES, "r")
    assert route_pb2.RouteConfiguration.FromString(other.body).name == "r"
    assert other.version != assignment.version
    with pytest.raises(KeyError):  # of those that are told a proxy as they are, nothing is nothing
        build_nothing(CLUSTER, "a")
