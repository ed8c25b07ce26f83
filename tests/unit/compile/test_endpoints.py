from __future__ import annotations

import pytest

from mizzen.compile.endpoints import build_endpoints, endpoints_view
from mizzen.mesh.model import Endpoint
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

V1 = Endpoint("10.0.0.1", 80, labels=(("app", "a"), ("version", "v1")))
V2 = Endpoint("10.0.0.2", 80, labels=(("app", "a"), ("version", "v2")), tls=False)


def built(*endpoints: Endpoint) -> ClusterLoadAssignment:
    return ClusterLoadAssignment.FromString(build_endpoints(endpoints_view("c", endpoints, ())).body)


def test_a_subset_has_the_endpoints_with_all_its_labels() -> None:
    assert endpoints_view("c", (V1, V2), (("version", "v1"),)).endpoints == (V1,)
    assert endpoints_view("c", (V1, V2), (("app", "a"),)).endpoints == (V1, V2)
    assert endpoints_view("c", (V1, V2), (("version", "v3"),)).endpoints == ()
    assert endpoints_view("c", (V1, V2), ()).endpoints == (V1, V2)


@pytest.mark.trap(43)
def test_a_cluster_without_endpoints_has_an_empty_assignment() -> None:
    assert built() == ClusterLoadAssignment(cluster_name="c")


@pytest.mark.trap(24)
def test_mutual_tls_is_decided_for_each_endpoint() -> None:
    first, second = built(V1, V2).endpoints[0].lb_endpoints
    assert first.metadata.filter_metadata["envoy.transport_socket_match"]["tlsMode"] == "istio"
    assert not second.metadata.filter_metadata


def test_all_endpoints_weigh_the_same() -> None:
    (locality,) = built(V1, V2).endpoints
    assert locality.load_balancing_weight.value == 2
    assert [one.load_balancing_weight.value for one in locality.lb_endpoints] == [1, 1]
