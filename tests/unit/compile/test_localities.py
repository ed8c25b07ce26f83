from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read, snapshot_of
from tests.support.written import destination_rule, mesh_config, service, service_entry, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.localities import Caller, LocalityPolicy, Spread, grouped, spread_for
from mizzen.compile.resource import ENDPOINTS
from mizzen.mesh.localities import parse_locality
from mizzen.mesh.model import Endpoint
from mizzen.resources.destination_rule import LocalityLbSetting

HERE = Caller(parse_locality("eu/a/1"))
PLACES = ("eu/a/1", "eu/a/2", "eu/b", "us/a", "ap/a")
OUTLIERS = {"outlierDetection": {"interval": "1s"}}


def endpoint(number: int, place: str, weight: int = 1, **labels: str) -> Endpoint:
    given = tuple(sorted(labels.items()))
    return Endpoint(f"10.0.0.{number}", 80, labels=given, weight=weight, locality=parse_locality(place))


def spread(caller: Caller = HERE, *, detects: bool = True, **setting: Any) -> Spread | None:
    return spread_for(LocalityPolicy(LocalityLbSetting.model_validate(setting), detects), caller)


def priorities(policy: Spread | None, *places: str) -> dict[str, int]:
    found = grouped([endpoint(number, place) for number, place in enumerate(places or PLACES)], policy)
    return {str(one.locality): one.priority for one in found}


def test_endpoints_are_told_by_place_with_the_weight_of_all() -> None:
    found = grouped([endpoint(1, "eu", 2), endpoint(2, "us"), endpoint(3, "eu", 3)], None)
    assert [(str(one.locality), one.priority, one.weight, len(one.endpoints)) for one in found] == [
        ("eu", 0, 5, 2),
        ("us", 0, 1, 1),
    ]


def test_nearer_ones_come_first() -> None:
    assert priorities(spread()) == {"eu/a/1": 0, "eu/a/2": 1, "eu/b": 2, "us/a": 3, "ap/a": 3}


def test_priorities_have_no_gaps() -> None:
    assert priorities(spread(), "eu/b", "us/a") == {"eu/b": 0, "us/a": 1}


def test_a_region_fails_over_to_the_one_that_is_named() -> None:
    policy = spread(failover=[{"from": "us", "to": "eu"}, {"from": "eu", "to": "ap"}])
    assert priorities(policy) == {"eu/a/1": 0, "eu/a/2": 1, "eu/b": 2, "ap/a": 3, "us/a": 4}
    elsewhere = spread(failover=[{"from": "us", "to": "eu"}])
    assert priorities(elsewhere, "us/a", "ap/a") == {"us/a": 0, "ap/a": 0}


@pytest.mark.trap(16)
def test_failover_needs_outlier_detection() -> None:
    assert spread(detects=False, failover=[{"from": "eu", "to": "us"}]) is None
    assert spread(detects=False, failoverPriority=["a"]) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["region", "rack"], [0, 1, 2]),
        # After the first that is another the rest does not count.
        (["rack", "region"], [0, 2, 1]),
        (["rack=2", "region"], [1, 0, 1]),
        (["topology.kubernetes.io/region"], [0, 0, 1]),
    ],
)
def test_labels_are_compared_in_order(written: list[str], expected: list[int]) -> None:
    caller = Caller(HERE.locality, (("rack", "1"), ("region", "x"), ("topology.kubernetes.io/region", "eu")))
    endpoints = [
        endpoint(1, "eu", region="x", rack="1"),
        endpoint(2, "eu", region="x", rack="2"),
        endpoint(3, "us", region="y", rack="1"),
    ]
    found = {
        one.address: group.priority
        for group in grouped(endpoints, spread(caller, failoverPriority=written))
        for one in group.endpoints
    }
    assert [found[one.address] for one in endpoints] == expected


def test_labels_come_before_distance() -> None:
    policy = spread(failoverPriority=["rack=1"], failover=[{"from": "eu", "to": "us"}])
    endpoints = [endpoint(1, "eu/a/1", rack="2"), endpoint(2, "us", rack="1"), endpoint(3, "eu/b", rack="1")]
    order = [one.address for group in grouped(endpoints, policy) for one in group.endpoints]
    assert order == ["10.0.0.3", "10.0.0.2", "10.0.0.1"]


def test_places_get_their_shares_and_others_nothing() -> None:
    policy = spread(detects=False, distribute=[{"from": "eu/*", "to": {"eu/*": 80, "us/a": 20}}])
    endpoints = [endpoint(1, "eu/a", 3), endpoint(2, "eu/b", 1), endpoint(3, "us/a"), endpoint(4, "ap/a")]
    assert [(str(one.locality), one.weight) for one in grouped(endpoints, policy)] == [
        ("eu/a", 60000),
        ("eu/b", 20000),
        ("us/a", 20000),
    ]


def test_only_the_first_share_for_the_callers_place_counts() -> None:
    shares = [{"from": "us", "to": {"us": 100}}, {"from": "eu/a", "to": {"ap": 100}}, {"from": "*", "to": {"us": 100}}]
    assert spread(distribute=shares) == Spread(shares=(("ap", 100),))
    assert spread(distribute=shares[:1]) is None


WORLD = (
    service("reviews"),
    service("ratings"),
    workload("client", labels={"app": "client", "istio-locality": "eu.a"}),
    workload("neighbour", labels={"app": "client", "istio-locality": "eu.a"}),
    workload("far", labels={"app": "client", "istio-locality": "us"}),
    workload("near-reviews", labels={"app": "reviews", "istio-locality": "eu.a"}),
    workload("far-reviews", labels={"app": "reviews", "istio-locality": "us"}),
    workload("ratings", labels={"app": "ratings", "istio-locality": "us"}),
)
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
RATINGS = "outbound|9080||ratings.default.svc.cluster.local"


def order(made: Compiled, cluster: str = REVIEWS) -> list[tuple[str, int]]:
    return [(one.locality.region, one.priority) for one in made.endpoints[cluster].endpoints]


def test_each_caller_prefers_its_own_place() -> None:
    rule = destination_rule("reviews", trafficPolicy=OUTLIERS)
    assert order(compiled(*WORLD, rule)) == [("eu", 0), ("us", 1)]
    assert order(compiled(*WORLD, rule, proxy="far-0.default")) == [("us", 0), ("eu", 1)]


@pytest.mark.trap(16)
def test_without_outlier_detection_places_are_alike() -> None:
    setting = {"failover": [{"from": "eu", "to": "us"}]}
    rule = destination_rule("reviews", trafficPolicy={"loadBalancer": {"localityLbSetting": setting}})
    assert order(compiled(*WORLD, rule)) == [("eu", 0), ("us", 0)]


@pytest.mark.parametrize(
    ("mesh", "own", "expected"),
    [
        ({"enabled": False}, None, [("eu", 0), ("us", 0)]),
        # What a rule says is in place of all that the mesh says.
        ({"enabled": False}, {}, [("eu", 0), ("us", 1)]),
        ({"enabled": True}, {"enabled": False}, [("eu", 0), ("us", 0)]),
        ({"failoverPriority": ["istio-locality=us"]}, None, [("us", 0), ("eu", 1)]),
    ],
)
def test_a_rule_comes_before_the_mesh(
    mesh: dict[str, Any], own: dict[str, Any] | None, expected: list[tuple[str, int]]
) -> None:
    balancer = {} if own is None else {"loadBalancer": {"localityLbSetting": own}}
    rule = destination_rule("reviews", trafficPolicy={**OUTLIERS, **balancer})
    assert order(compiled(*WORLD, rule, mesh_config(localityLbSetting=mesh))) == expected


def test_shares_have_the_cluster_choose_a_place_by_weight() -> None:
    setting = {"distribute": [{"from": "*", "to": {"eu": 90, "us": 10}}]}
    made = compiled(*WORLD, mesh_config(localityLbSetting=setting))
    assert made.clusters[REVIEWS].common_lb_config.HasField("locality_weighted_lb_config")
    weights = [one.load_balancing_weight.value for one in made.endpoints[REVIEWS].endpoints]
    assert weights == [90000, 10000]
    assert not compiled(*WORLD).clusters[REVIEWS].common_lb_config.HasField("locality_weighted_lb_config")


def test_endpoints_that_proxies_look_up_are_preferred_as_well() -> None:
    entry = service_entry(
        "api",
        resolution="DNS",
        endpoints=[{"address": "eu.example.com", "locality": "eu/a"}, {"address": "us.example.com", "locality": "us"}],
    )
    rule = destination_rule("api", host="api.example.com", trafficPolicy=OUTLIERS)
    for proxy, first in (("client-0.default", "eu.example.com"), ("far-0.default", "us.example.com")):
        (cluster,) = [one for name, one in compiled(*WORLD, entry, rule, proxy=proxy).clusters.items() if "api" in name]
        found = {
            place.priority: place.lb_endpoints[0].endpoint.address.socket_address.address
            for place in cluster.load_assignment.endpoints
        }
        assert found[0] == first
        assert len(found) == 2


def test_callers_in_one_place_share_what_is_built_and_others_what_does_not_depend_on_it() -> None:
    snapshot = snapshot_of(read(*WORLD, destination_rule("reviews", trafficPolicy=OUTLIERS)), "transparent")
    compiler = Compiler()
    near, neighbour, far = (
        compiler.compile(snapshot.proxies[f"{name}-0.default"], snapshot)[ENDPOINTS]
        for name in ("client", "neighbour", "far")
    )
    assert near is neighbour
    assert near[RATINGS] is far[RATINGS]
    assert near[REVIEWS].body != far[REVIEWS].body


def test_where_no_policy_asks_for_places_all_callers_share_everything() -> None:
    snapshot = snapshot_of(read(*WORLD), "transparent")
    compiler = Compiler()
    near, far = (
        compiler.compile(snapshot.proxies[f"{name}-0.default"], snapshot)[ENDPOINTS] for name in ("client", "far")
    )
    assert near is far
