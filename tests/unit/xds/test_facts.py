import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.compile.resource import XdsResource, encode
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.stubs.envoy.config.route.v3 import route_pb2
from mizzen.xds import facts
from mizzen.xds.facts import AssignmentNames, Mentions, needle


@given(st.text(min_size=1, max_size=300))
def test_needle_is_found_where_the_name_is_used(name: str) -> None:
    route = route_pb2.RouteConfiguration(name="other")
    route.virtual_hosts.add(name="host", domains=["*"]).routes.add().route.cluster = name
    assert needle(name) in route.SerializeToString()


def test_needle_is_not_found_in_a_longer_name() -> None:
    route = route_pb2.RouteConfiguration()
    route.virtual_hosts.add().routes.add().route.cluster = "outbound|80||reviews.default"
    assert needle("outbound|80||reviews") not in route.SerializeToString()
    assert needle("reviews.default") not in route.SerializeToString()


EDS = cluster_pb2.Cluster.EDS


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (cluster_pb2.Cluster(name="c", type=EDS), "c"),
        (
            cluster_pb2.Cluster(
                name="c", type=EDS, eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(service_name="s")
            ),
            "s",
        ),
        (cluster_pb2.Cluster(name="c", type=cluster_pb2.Cluster.STATIC), None),
    ],
)
def test_assignment_name(message: cluster_pb2.Cluster, expected: str | None) -> None:
    assert AssignmentNames().of(encode("c", message)) == expected


def test_memory_of_assignment_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_REMEMBERED", 100)
    names = AssignmentNames()
    for number in range(150):
        names.of(XdsResource(str(number), "1", b""))
    assert len(names._names) == 100


def test_mentions() -> None:
    named = Mentions([XdsResource("a", "1", b"\x0a\x03one"), XdsResource("b", "1", b"\x0a\x05three")])
    assert [name in named for name in ("one", "three", "thre", "two", "one")] == [True, True, False, False, True]
