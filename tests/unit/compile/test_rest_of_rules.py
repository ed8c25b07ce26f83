"""The parts of a DestinationRule that concern few: selectors of callers, budgets for retries, tunnels, the PROXY protocol."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read
from tests.support.written import (
    destination_rule,
    gateway,
    gateway_workload,
    server,
    service,
    service_entry,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.resource import FILTERS
from mizzen.resources.key import Key
from mizzen.resources.references import check_references
from mizzen.stubs.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.stubs.envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)

WORLD = (
    service("reviews"),
    service("forward", ("tcp", 3128)),
    service("bytes", ("tcp", 9000)),
    workload("client"),
    workload("other"),
    workload("reviews"),
    workload("stranger", namespace="elsewhere", labels={"app": "client"}),
)
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
RANDOM = {"loadBalancer": {"simple": "RANDOM"}}
ROUND = {"loadBalancer": {"simple": "ROUND_ROBIN"}}
LIMITED = {"connectionPool": {"tcp": {"maxConnections": 7}}}


def world(*texts: str, proxy: str = "client-0.default") -> Compiled:
    return compiled(*WORLD, *texts, proxy=proxy)


def selecting(name: str, app: str = "client", **spec: Any) -> str:
    spec = {"host": "reviews", "trafficPolicy": RANDOM, **spec}
    return destination_rule(name, workloadSelector={"matchLabels": {"app": app}}, **spec)


@pytest.mark.trap(11)
def test_a_rule_for_some_workloads_comes_first_and_for_them_alone() -> None:
    rules = (destination_rule("reviews", trafficPolicy=ROUND), selecting("younger"))
    assert world(*rules).clusters[REVIEWS].lb_policy == Cluster.RANDOM
    assert world(*rules, proxy="other-0.default").clusters[REVIEWS].lb_policy == Cluster.ROUND_ROBIN


@pytest.mark.trap(11)
def test_such_a_rule_is_never_exported() -> None:
    rule = selecting("reviews")
    assert world(rule, proxy="stranger-0.elsewhere").clusters[REVIEWS].lb_policy == Cluster.LEAST_REQUEST


@pytest.mark.trap(11)
def test_such_a_rule_is_for_what_goes_out() -> None:
    rule = selecting("reviews", "reviews", trafficPolicy=LIMITED)
    made = world(rule, proxy="reviews-0.default")
    limits = {
        name: one.circuit_breakers.thresholds[0].max_connections.value
        for name, one in made.clusters.items()
        if "9080" in name
    }
    assert limits[REVIEWS] == 7
    assert limits["inbound|9080||"] == 2**32 - 1
    plain = destination_rule("reviews", trafficPolicy=LIMITED)
    inbound = world(plain, selecting("a", "reviews"), proxy="reviews-0.default").clusters["inbound|9080||"]
    assert inbound.circuit_breakers.thresholds[0].max_connections.value == 7


def test_rules_with_one_selector_are_merged_and_others_not() -> None:
    subset = [{"name": "v1", "labels": {"version": "v1"}}]
    name = "outbound|9080|v1|reviews.default.svc.cluster.local"
    assert name in world(selecting("a"), selecting("b", subsets=subset)).clusters
    plain = destination_rule("b", host="reviews", subsets=subset)
    assert name not in world(selecting("a"), plain).clusters
    assert name in world(selecting("a"), plain, proxy="other-0.default").clusters


def test_such_a_rule_hides_no_other_from_those_whom_it_does_not_select() -> None:
    wide = destination_rule("all", host="*.default.svc.cluster.local", trafficPolicy=ROUND)
    assert world(wide, selecting("a"), proxy="other-0.default").clusters[REVIEWS].lb_policy == Cluster.ROUND_ROBIN


def thresholds(**policy: Any) -> CircuitBreakers.Thresholds:
    rules = [destination_rule("reviews", trafficPolicy=policy)] if policy else []
    return world(*rules).clusters[REVIEWS].circuit_breakers.thresholds[0]


def test_retries_have_a_budget_unless_a_rule_says_otherwise() -> None:
    usual = thresholds().retry_budget
    assert (usual.budget_percent.value, usual.min_retry_concurrency.value) == (20, 50)
    written = thresholds(retryBudget={}).retry_budget
    assert (written.budget_percent.value, written.min_retry_concurrency.value) == (20, 3)
    own = thresholds(retryBudget={"percent": 5, "minRetryConcurrency": 9, "budgetInterval": "2s"}).retry_budget
    assert (own.budget_percent.value, own.min_retry_concurrency.value, own.budget_interval.seconds) == (5, 9, 2)
    limited = thresholds(connectionPool={"http": {"maxRetries": 4}})
    assert not limited.HasField("retry_budget")
    assert limited.max_retries.value == 4


def test_what_a_proxy_sends_to_its_own_application_has_no_budget() -> None:
    inbound = world(proxy="reviews-0.default").clusters["inbound|9080||"]
    assert not inbound.circuit_breakers.thresholds[0].HasField("retry_budget")


@pytest.mark.parametrize(
    ("tls", "inner"),
    [
        ({}, "envoy.transport_sockets.raw_buffer"),
        ({"tls": {"mode": "SIMPLE"}}, "envoy.transport_sockets.tls"),
    ],
)
def test_the_proxy_protocol_goes_before_all_else(tls: dict[str, Any], inner: str) -> None:
    entry = service_entry("out", ("TCP", 9443), resolution="DNS")
    rule = destination_rule("out", host="out.example.com", trafficPolicy={"proxyProtocol": {"version": "V2"}, **tls})
    cluster = world(entry, rule).clusters["outbound|9443||out.example.com"]
    outer = ProxyProtocolUpstreamTransport()
    assert cluster.transport_socket.typed_config.Unpack(outer)
    assert outer.config.version == 1
    assert outer.transport_socket.name == inner


def test_members_take_no_header_before_tls() -> None:
    rule = destination_rule("reviews", trafficPolicy={"proxyProtocol": {}})
    problems = [one for one in check_references(read(*WORLD, rule)) if one.code == "PeersWantMutualTLS"]
    assert [(one.level.value, one.path) for one in problems] == [("warning", "spec.trafficPolicy.proxyProtocol")]


TUNNEL = {"tunnel": {"targetHost": "a.example.com", "targetPort": 443}}
RULE = Key("DestinationRule", "default", "forward")


def tunneled(made: Compiled, name: str) -> tuple[str, bool]:
    proxy = TcpProxy()
    made.filters[name].typed_config.Unpack(proxy)
    return proxy.tunneling_config.hostname, proxy.tunneling_config.use_post


def test_connections_go_through_the_tunnel_of_where_they_are_led() -> None:
    route = virtual_service("bytes", http=[], tcp=[to("forward")])
    made = world(route, destination_rule("forward", trafficPolicy=TUNNEL))
    names = {one for one in made.filters if "bytes" in one}
    assert [tunneled(made, one) for one in names] == [("a.example.com:443", False)]
    assert all(RULE in made.resources[FILTERS][one].origins for one in names)
    posted = {"tunnel": {**TUNNEL["tunnel"], "protocol": "POST"}}
    made = world(route, destination_rule("forward", trafficPolicy=posted))
    assert [tunneled(made, one) for one in names] == [("a.example.com:443", True)]
    made = world(route)
    assert [tunneled(made, one) for one in names] == [("", False)]


def test_a_gateway_tunnels_as_well() -> None:
    edge = (gateway_workload(), gateway("edge", server(9001, protocol="TCP")))
    route = virtual_service("in", hosts=["*"], gateways=["edge"], http=[], tcp=[to("forward")])
    made = world(*edge, route, destination_rule("forward", trafficPolicy=TUNNEL), proxy="ingress-0.default")
    assert ("a.example.com:443", False) in [tunneled(made, name) for name in made.filters]
    through = [name for name in made.filters if tunneled(made, name)[0]]
    assert all(RULE in made.resources[FILTERS][name].origins for name in through)


def test_the_destinations_of_a_route_share_a_tunnel() -> None:
    divided = {"route": [*to("forward")["route"], *to("bytes")["route"]]}
    for one in divided["route"]:
        one["weight"] = 50
    texts = (
        *WORLD,
        virtual_service("bytes", http=[], tcp=[divided]),
        destination_rule("forward", trafficPolicy=TUNNEL),
    )
    (problem,) = [one for one in check_references(read(*texts)) if one.code == "SeveralTunnels"]
    assert problem.path == "spec.tcp[0].route"
    agreed = destination_rule("bytes", trafficPolicy=TUNNEL)
    assert not [one for one in check_references(read(*texts, agreed)) if one.code == "SeveralTunnels"]
