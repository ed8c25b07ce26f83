from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled, managers
from tests.support.worlds import read
from tests.support.written import (
    destination_rule,
    gateway,
    gateway_workload,
    mesh_config,
    server,
    service,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.pools import HTTP_OPTIONS
from mizzen.compile.resource import CLUSTER
from mizzen.compile.retries import DEFAULT_CONDITIONS, NEVER_SENT_CONDITIONS
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

WORLD = (
    service("reviews"),
    service("far", namespace="other"),
    workload("client"),
    workload("reviews"),
    workload("far", namespace="other"),
)
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
FAR = "outbound|9080||far.other.svc.cluster.local"
INBOUND = "inbound|9080||"


def world(*texts: str, proxy: str = "client-0.default", **mesh: Any) -> Compiled:
    return compiled(*WORLD, *texts, mesh_config(**mesh), proxy=proxy)


def reviews(*texts: str, **mesh: Any) -> Cluster:
    return world(*texts, **mesh).clusters[REVIEWS]


def pool(**tcp: Any) -> str:
    return destination_rule("reviews", trafficPolicy={"connectionPool": {"tcp": tcp}})


def test_a_connection_has_the_meshs_time_to_be_made_unless_a_rule_says_another() -> None:
    assert reviews().connect_timeout.seconds == 10
    assert reviews(connectTimeout="3s").connect_timeout.seconds == 3
    assert reviews(pool(connectTimeout="2s"), connectTimeout="3s").connect_timeout.seconds == 2
    assert world(proxy="reviews-0.default", connectTimeout="3s").clusters[INBOUND].connect_timeout.seconds == 3


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_what_the_mesh_says_of_connections_is_for_unknown_destinations_too(capture: str) -> None:
    mesh = mesh_config(connectTimeout="3s", tcpKeepalive={"probes": 4})
    made = compiled(*WORLD, mesh, capture=capture)
    cluster = made.clusters["PassthroughCluster"]
    assert cluster.connect_timeout.seconds == 3
    assert cluster.upstream_connection_options.tcp_keepalive.keepalive_probes.value == 4
    assert made.resources[CLUSTER]["PassthroughCluster"].origins == (read(mesh)[0].key,)


def test_a_rule_replaces_each_part_of_keep_alive_by_itself() -> None:
    mesh = {"tcpKeepalive": {"probes": 3, "time": "10s"}}
    kept = reviews(pool(tcpKeepalive={"time": "20s"}), **mesh).upstream_connection_options.tcp_keepalive
    assert (kept.keepalive_probes.value, kept.keepalive_time.value) == (3, 20)


@pytest.mark.parametrize(
    ("mesh", "own", "upgraded"),
    [
        ("DO_NOT_UPGRADE", "DEFAULT", False),
        ("UPGRADE", "DEFAULT", True),
        ("UPGRADE", "DO_NOT_UPGRADE", False),
        ("DO_NOT_UPGRADE", "UPGRADE", True),
    ],
)
def test_a_rule_decides_on_http2_before_the_mesh(mesh: str, own: str, upgraded: bool) -> None:
    rule = destination_rule("reviews", trafficPolicy={"connectionPool": {"http": {"h2UpgradePolicy": own}}})
    options = HttpProtocolOptions()
    reviews(rule, h2UpgradePolicy=mesh).typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    assert options.explicit_http_config.HasField("http2_protocol_options") == upgraded


def test_blocks_that_a_rule_leaves_out_are_the_meshs() -> None:
    mesh = {
        "defaultTrafficPolicy": {
            "connectionPool": {"tcp": {"maxConnections": 7}},
            "outlierDetection": {"consecutive5xxErrors": 9},
        }
    }
    rule = destination_rule("reviews", trafficPolicy={"outlierDetection": {"interval": "1s"}})
    made = reviews(rule, **mesh)
    assert made.circuit_breakers.thresholds[0].max_connections.value == 7
    assert not made.outlier_detection.HasField("consecutive_5xx")  # a block is replaced as a whole
    assert reviews(**mesh).outlier_detection.consecutive_5xx.value == 9
    inbound = world(proxy="reviews-0.default", **mesh).clusters[INBOUND]
    assert inbound.circuit_breakers.thresholds[0].max_connections.value == 7
    assert not inbound.HasField("outlier_detection")


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_the_meshs_pool_is_for_unknown_hosts_too(capture: str) -> None:
    pools = {"tcp": {"maxConnections": 7}, "http": {"idleTimeout": "9s", "maxRequestsPerConnection": 3}}
    unknown: dict[str, Any] = {"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}
    pooled: dict[str, Any] = {"defaultTrafficPolicy": {"connectionPool": pools}}
    for name in ("PassthroughCluster", "AllowAnyDynamicDNSCluster"):
        for given, idle, most in ((unknown, 300, 0), (unknown | pooled, 9, 3)):
            made = compiled(*WORLD, mesh_config(**given), capture=capture).clusters[name]
            options = HttpProtocolOptions()
            made.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
            common = options.common_http_protocol_options
            assert (common.idle_timeout.seconds, common.max_requests_per_connection.value) == (idle, most)
            assert (made.circuit_breakers.thresholds[0].max_connections.value == 7) == (given != unknown)
            forwarded = name == "PassthroughCluster" and capture == "explicit"
            assert options.upstream_http_protocol_options.auto_sni == forwarded


def retried(*texts: str, **mesh: Any) -> tuple[str, int]:
    (host,) = (one for name, one in world(*texts, **mesh).hosts("9080").items() if name.startswith("reviews."))
    policy = host.routes[0].route.retry_policy
    return policy.retry_on.removesuffix(",retriable-headers"), policy.num_retries.value


@pytest.mark.trap(14)
def test_the_meshs_policy_of_retries_takes_the_place_of_the_default() -> None:
    assert retried() == (DEFAULT_CONDITIONS, 2)
    assert retried(defaultHttpRetryPolicy={"attempts": 5, "retryOn": "5xx"}) == ("5xx", 5)
    assert retried(defaultHttpRetryPolicy={"attempts": 0}) == ("", 0)
    own = virtual_service("reviews", to("reviews", retries={"attempts": 1}))
    assert retried(own, defaultHttpRetryPolicy={"attempts": 5, "retryOn": "5xx"}) == (DEFAULT_CONDITIONS, 1)


def test_a_mesh_may_repeat_only_what_was_never_sent() -> None:
    unsent = {"mizzen": {"retryOnlyUnsent": True}}
    assert retried(**unsent) == (NEVER_SENT_CONDITIONS, 2)
    own = virtual_service("reviews", to("reviews", retries={"attempts": 1}))
    assert retried(own, **unsent) == (NEVER_SENT_CONDITIONS, 1)
    own = virtual_service("reviews", to("reviews", retries={"attempts": 1, "retryOn": "5xx"}))
    assert retried(own, **unsent) == ("5xx", 1)


@pytest.mark.parametrize(
    ("written", "normalized", "merged", "decoded"),
    [
        ("DEFAULT", True, False, 0),
        ("NONE", False, False, 0),
        ("BASE", True, False, 0),
        ("MERGE_SLASHES", True, True, 0),
        ("DECODE_AND_MERGE_SLASHES", True, True, HttpConnectionManager.UNESCAPE_AND_FORWARD),
    ],
)
@pytest.mark.parametrize("proxy", ["client-0.default", "reviews-0.default", "ingress-0.default"])
def test_paths_are_normalized_everywhere(
    proxy: str, written: str, normalized: bool, merged: bool, decoded: int
) -> None:
    edge = (gateway_workload(), gateway("edge", server()))
    made = world(*edge, proxy=proxy, pathNormalization={"normalization": written})
    found = [manager for listener in made.listeners.values() for manager in managers(listener)]
    assert found
    for one in found:
        seen = (one.normalize_path.value, one.merge_slashes, one.path_with_escaped_slashes_action)
        assert seen == (normalized, merged, decoded)


def test_retries_before_an_application_are_the_meshs() -> None:
    made = world(proxy="reviews-0.default", defaultInboundHttpRetryPolicy={"attempts": 4, "retryOn": "reset"})
    (manager,) = managers(made.listeners["virtualInbound"])
    policy = manager.route_config.virtual_hosts[0].routes[0].route.retry_policy
    assert (policy.retry_on, policy.num_retries.value) == ("reset", 4)
    made = world(proxy="reviews-0.default", defaultInboundHttpRetryPolicy={"attempts": 0})
    (manager,) = managers(made.listeners["virtualInbound"])
    assert not manager.route_config.virtual_hosts[0].routes[0].route.HasField("retry_policy")


def test_a_service_is_seen_where_the_mesh_or_its_annotation_says() -> None:
    assert FAR in world().clusters
    assert FAR not in world(defaultServiceExportTo=["."]).clusters
    public = service("far", namespace="other").replace(
        "namespace: other", "namespace: other\n  annotations: {networking.istio.io/exportTo: 'default, third'}", 1
    )
    shown = compiled(WORLD[0], public, *WORLD[2:], mesh_config(defaultServiceExportTo=["~"]))
    assert FAR in shown.clusters
    assert REVIEWS not in shown.clusters


def test_rules_are_seen_where_the_mesh_says() -> None:
    rule = destination_rule("far", namespace="other", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}})
    assert world(rule).clusters[FAR].lb_policy == Cluster.RANDOM
    assert world(rule, defaultDestinationRuleExportTo=["."]).clusters[FAR].lb_policy == Cluster.LEAST_REQUEST
    own = destination_rule(
        "far", namespace="other", exportTo=["*"], trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}
    )
    assert world(own, defaultDestinationRuleExportTo=["."]).clusters[FAR].lb_policy == Cluster.RANDOM


def test_the_root_namespace_may_have_another_name() -> None:
    rule = destination_rule(
        "all", host="*.cluster.local", namespace="policies", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}
    )
    assert reviews(rule).lb_policy == Cluster.LEAST_REQUEST
    assert reviews(rule, rootNamespace="policies").lb_policy == Cluster.RANDOM
