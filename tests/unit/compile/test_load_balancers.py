from __future__ import annotations

from typing import Any

import pytest

from mizzen.compile import load_balancers
from mizzen.resources.destination_rule import LoadBalancerSettings
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster


def cluster(**given: Any) -> Cluster:
    made = Cluster()
    load_balancers.apply(made, LoadBalancerSettings.model_validate(given), http=True)
    return made


@pytest.mark.parametrize(
    ("simple", "policy"),
    [
        ("UNSPECIFIED", Cluster.LEAST_REQUEST),
        ("LEAST_CONN", Cluster.LEAST_REQUEST),
        ("LEAST_REQUEST", Cluster.LEAST_REQUEST),
        ("ROUND_ROBIN", Cluster.ROUND_ROBIN),
        ("RANDOM", Cluster.RANDOM),
    ],
)
def test_every_simple_load_balancer(simple: str, policy: int) -> None:
    assert cluster(simple=simple).lb_policy == policy


def test_what_passes_through_has_no_endpoints_of_its_own() -> None:
    made = cluster(simple="PASSTHROUGH")
    assert (made.type, made.lb_policy) == (Cluster.ORIGINAL_DST, Cluster.CLUSTER_PROVIDED)
    assert not made.HasField("eds_cluster_config")


def test_least_request_is_the_default() -> None:
    made = Cluster()
    load_balancers.apply(made, None, http=True)
    assert made.lb_policy == Cluster.LEAST_REQUEST
    assert cluster().lb_policy == Cluster.LEAST_REQUEST


@pytest.mark.parametrize(("simple", "field"), [("ROUND_ROBIN", "round_robin"), ("LEAST_REQUEST", "least_request")])
def test_a_warm_up(simple: str, field: str) -> None:
    made = cluster(simple=simple, warmup={"duration": "90s", "minimumPercent": 5, "aggression": 2})
    config = getattr(made, f"{field}_lb_config").slow_start_config
    assert config.slow_start_window.ToSeconds() == 90
    assert (config.min_weight_percent.value, config.aggression.default_value) == (5, 2)


@pytest.mark.parametrize("written", [{"warmup": {"duration": "90s"}}, {"warmupDurationSecs": "90s"}])
def test_what_is_not_written_of_a_warm_up_keeps_the_default(written: dict[str, Any]) -> None:
    config = cluster(**written).least_request_lb_config.slow_start_config
    assert [field.name for field, _ in config.ListFields()] == ["slow_start_window"]
    assert config.slow_start_window.ToSeconds() == 90


def test_of_both_forms_the_newer_counts() -> None:
    made = cluster(warmup={"duration": "1s"}, warmupDurationSecs="90s")
    assert made.least_request_lb_config.slow_start_config.slow_start_window.ToSeconds() == 1
