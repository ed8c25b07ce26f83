from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import destination_rule, subset

from mizzen.mesh.destination_rules import (
    DestinationRuleIndex,
    effective_policy,
    merged_policy,
    merged_subsets,
    policy_for_port,
)
from mizzen.resources.destination_rule import TrafficPolicy

REVIEWS = "reviews.default.svc.cluster.local"
RANDOM: dict[str, Any] = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
ROUND: dict[str, Any] = {"trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}


def found(*texts: str, client: str = "default", namespace: str = "default", host: str = REVIEWS) -> list[str]:
    return [rule.name for rule in DestinationRuleIndex(read(*texts), client, "istio-system").lookup(host, namespace)]


def rule(name: str, *, host: str = REVIEWS, **spec: Any) -> str:
    return destination_rule(name, host=host, **spec)


@pytest.mark.trap(9)
def test_the_namespace_of_the_client_then_of_the_service_then_the_root() -> None:
    client = rule("client", namespace="near")
    service = rule("service", namespace="default")
    root = rule("root", namespace="istio-system")
    assert found(root, service, client, client="near") == ["client"]
    assert found(root, service, client="near") == ["service"]
    assert found(root, client="near") == ["root"]
    assert found(rule("elsewhere", namespace="elsewhere"), client="near") == []


@pytest.mark.trap(9)
def test_nothing_is_inherited_between_levels() -> None:
    rules = DestinationRuleIndex(
        read(rule("client", namespace="near", subsets=[subset("v1")]), rule("service", **RANDOM)),
        "near",
        "istio-system",
    )
    assert merged_policy(rules.lookup(REVIEWS, "default")) is None


@pytest.mark.trap(9)
def test_a_client_in_the_root_namespace_has_only_private_rules_of_its_own() -> None:
    public = rule("public", namespace="istio-system")
    private = rule("private", namespace="istio-system", exportTo=["."])
    service = rule("service")
    assert found(public, service, client="istio-system") == ["service"]
    assert found(public, private, service, client="istio-system") == ["private"]
    assert found(public, client="istio-system") == ["public"]
    assert found(private, client="near") == []


def test_the_most_specific_host_of_a_namespace_wins() -> None:
    wide, narrow, exact = (
        rule("wide", host="*.cluster.local"),
        rule("narrow", host="*.default.svc.cluster.local"),
        rule("exact", host="reviews"),
    )
    assert found(wide, narrow, exact) == ["exact"]
    assert found(wide, narrow) == ["narrow"]
    assert found(wide, host="ratings.far.svc.cluster.local", namespace="far") == ["wide"]


@pytest.mark.trap(1)
def test_a_name_with_a_dot_is_not_short() -> None:
    assert found(rule("a", host="reviews.default")) == []
    assert found(rule("a", host="reviews", namespace="near"), client="near") == []


def test_a_more_specific_rule_for_others_hides_a_less_specific_one() -> None:
    hiding = rule("hiding", exportTo=["elsewhere"])
    wide = rule("wide", host="*.default.svc.cluster.local")
    root = rule("root", namespace="istio-system")
    assert found(hiding, wide, root, client="near") == ["root"]


def test_a_private_rule_hides_nothing_from_other_namespaces() -> None:
    private = rule("private", exportTo=["."])
    wide = rule("wide", host="*.default.svc.cluster.local")
    assert found(private, wide, client="near") == ["wide"]


def test_a_rule_that_is_exported_only_to_others_hides_nothing_in_its_own_namespace() -> None:
    elsewhere = rule("elsewhere", exportTo=["elsewhere"])
    wide = rule("wide", host="*.default.svc.cluster.local")
    assert found(elsewhere, wide) == ["wide"]
    assert found(elsewhere, wide, client="elsewhere") == ["elsewhere"]


@pytest.mark.parametrize(
    ("first", "second", "client", "merged"),
    [
        ([], [], "default", ["a", "b"]),
        (["*"], ["*"], "near", ["a", "b"]),
        ([".", "near"], ["near", "."], "near", ["a", "b"]),
        (["near"], ["near", "far"], "near", ["a", "b"]),
        (["near"], ["near", "far"], "far", ["b"]),
        (["near", "far"], ["near"], "near", ["a"]),
        ([], ["."], "default", ["a"]),
        (["."], [], "default", ["a"]),
        (["."], [], "near", ["b"]),
    ],
)
def test_rules_for_one_host_are_merged_if_the_younger_is_exported_as_far(
    first: list[str], second: list[str], client: str, merged: list[str]
) -> None:
    assert found(rule("a", exportTo=first), rule("b", exportTo=second), client=client) == merged


@pytest.mark.trap(3)
def test_merging_is_oldest_first() -> None:
    older = rule("b", subsets=[subset("v1", loadBalancer={"simple": "RANDOM"}), subset("v2")])
    younger = rule("a", subsets=[subset("v1"), subset("v3")], **ROUND)
    youngest = rule("c", **RANDOM)
    rules = DestinationRuleIndex(read(older, younger, youngest), "default", "istio-system").lookup(REVIEWS, "default")
    assert [rule.name for rule in rules] == ["b", "a", "c"]
    subsets = merged_subsets(rules)
    assert [one.name for one in subsets] == ["v1", "v2", "v3"]
    assert subsets[0].traffic_policy is not None
    policy = merged_policy(rules)
    assert policy is not None
    assert policy.load_balancer is not None
    assert policy.load_balancer.simple == "ROUND_ROBIN"


def policy(**blocks: Any) -> TrafficPolicy:
    return TrafficPolicy.model_validate(blocks, strict=False)


POOL = {"tcp": {"maxConnections": 1}}
LB = {"simple": "RANDOM"}


@pytest.mark.trap(10)
def test_settings_of_a_port_stand_alone() -> None:
    whole = policy(loadBalancer=LB, connectionPool=POOL, portLevelSettings=[{"port": {"number": 80}, "tls": None}])
    alone = policy_for_port(whole, 80)
    assert alone is not None
    assert (alone.load_balancer, alone.connection_pool, alone.tunnel) == (None, None, None)
    assert policy_for_port(whole, 81) is whole
    assert policy_for_port(None, 80) is None


@pytest.mark.trap(10)
def test_a_subset_overrides_whole_blocks_and_keeps_the_others() -> None:
    base = policy(loadBalancer=LB, connectionPool={"tcp": {"maxConnections": 1}, "http": {"maxRetries": 3}})
    merged = effective_policy(base, policy(connectionPool={"tcp": {"maxConnections": 2}}), 80)
    assert merged is not None
    assert merged.load_balancer == base.load_balancer
    assert merged.connection_pool is not None
    assert merged.connection_pool.http is None
    assert merged.connection_pool.tcp is not None
    assert merged.connection_pool.tcp.max_connections == 2


@pytest.mark.trap(10)
def test_settings_of_a_subsets_port_replace_all_four_blocks() -> None:
    base = policy(loadBalancer=LB, connectionPool=POOL)
    override = policy(portLevelSettings=[{"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 2}}}])
    on_port, on_other = effective_policy(base, override, 80), effective_policy(base, override, 81)
    assert on_port is not None
    assert on_port.load_balancer is None
    assert on_other is not None
    assert on_other.load_balancer == base.load_balancer


@pytest.mark.trap(10)
def test_a_subset_is_laid_over_the_rules_settings_of_the_port() -> None:
    base = policy(loadBalancer=LB, portLevelSettings=[{"port": {"number": 80}, "connectionPool": POOL}])
    merged = effective_policy(base, policy(loadBalancer={"simple": "ROUND_ROBIN"}), 80)
    assert merged is not None
    assert merged.connection_pool is not None
    assert merged.load_balancer is not None
    assert merged.load_balancer.simple == "ROUND_ROBIN"


def test_one_policy_alone_is_as_it_is() -> None:
    only = policy(loadBalancer=LB)
    assert effective_policy(only, None, 80) is only
    assert effective_policy(None, only, 80) is only
    assert effective_policy(None, None, 80) is None
