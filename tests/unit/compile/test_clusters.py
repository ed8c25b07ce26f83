from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from tests.support.compiled import Compiled, compiled
from tests.support.written import destination_rule, service, subset, workload

from mizzen.compile.pools import HTTP_OPTIONS
from mizzen.resources.mesh_config import DEFAULT_ROOT_NAMESPACE
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

REVIEWS = "reviews.default.svc.cluster.local"
NAME = f"outbound|9080||{REVIEWS}"
UNLIMITED = 2**32 - 1


def world(*texts: str, **options: Any) -> Compiled:
    return compiled(
        service("reviews"), workload("reviews", serviceAccount="reviews"), workload("client"), *texts, **options
    )


def cluster(*, port: str = "http", **policy: Any) -> Cluster:
    rules = [destination_rule("reviews", trafficPolicy=policy)] if policy else []
    made = compiled(service("reviews", (port, 9080)), workload("reviews"), workload("client"), *rules)
    return made.clusters[NAME]


def inbound(**policy: Any) -> Cluster:
    made = world(destination_rule("reviews", trafficPolicy=policy), proxy="reviews-0.default")
    return made.clusters["inbound|9080||"]


def http_options(made: Cluster) -> HttpProtocolOptions:
    return HttpProtocolOptions.FromString(made.typed_extension_protocol_options[HTTP_OPTIONS].value)


def codec(made: Cluster) -> str:
    options = http_options(made)
    if options.HasField("use_downstream_protocol_config"):
        return "client's"
    return options.explicit_http_config.WhichOneof("protocol_config") or ""


def tls(made: Cluster) -> UpstreamTlsContext:
    return UpstreamTlsContext.FromString(made.transport_socket_matches[0].transport_socket.typed_config.value)


def pool(**http: Any) -> dict[str, Any]:
    return {"connectionPool": {"http": http}}


@pytest.mark.trap(18)
def test_without_a_pool_nothing_is_limited() -> None:
    made = cluster()
    (limits,) = made.circuit_breakers.thresholds
    values = (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries)
    assert [value.value for value in values] == [UNLIMITED] * 4
    assert made.connect_timeout.ToMilliseconds() == 10_000
    assert made.type == Cluster.EDS


@pytest.mark.trap(18)
def test_zero_is_the_default_and_no_limit() -> None:
    made = cluster(connectionPool={"tcp": {"maxConnections": 0}, "http": {"maxRetries": 0}})
    (limits,) = made.circuit_breakers.thresholds
    assert (limits.max_connections.value, limits.max_retries.value) == (UNLIMITED, UNLIMITED)


@pytest.mark.trap(17)
def test_the_panic_threshold_is_zero() -> None:
    assert cluster().common_lb_config.HasField("healthy_panic_threshold")
    assert cluster().common_lb_config.healthy_panic_threshold.value == 0


@pytest.mark.parametrize(
    ("simple", "policy"),
    [
        (None, Cluster.LEAST_REQUEST),
        ("UNSPECIFIED", Cluster.LEAST_REQUEST),
        ("LEAST_CONN", Cluster.LEAST_REQUEST),
        ("LEAST_REQUEST", Cluster.LEAST_REQUEST),
        ("RANDOM", Cluster.RANDOM),
        ("ROUND_ROBIN", Cluster.ROUND_ROBIN),
    ],
)
def test_load_balancers(simple: str | None, policy: int) -> None:
    made = cluster(loadBalancer={"simple": simple}) if simple else cluster()
    assert made.lb_policy == policy


def test_a_whole_pool() -> None:
    made = cluster(
        connectionPool={
            "tcp": {
                "maxConnections": 1,
                "connectTimeout": "2s",
                "maxConnectionDuration": "3s",
                "tcpKeepalive": {"probes": 4, "time": "5s", "interval": "6s"},
            },
            "http": {
                "http1MaxPendingRequests": 7,
                "http2MaxRequests": 8,
                "maxRetries": 9,
                "maxRequestsPerConnection": 10,
                "idleTimeout": "11s",
            },
        }
    )
    (limits,) = made.circuit_breakers.thresholds
    assert limits.max_connections.value == 1
    assert made.connect_timeout.ToSeconds() == 2
    keepalive = made.upstream_connection_options.tcp_keepalive
    values = (keepalive.keepalive_probes, keepalive.keepalive_time, keepalive.keepalive_interval)
    assert [value.value for value in values] == [4, 5, 6]
    assert (limits.max_pending_requests.value, limits.max_requests.value, limits.max_retries.value) == (7, 8, 9)
    common = http_options(made).common_http_protocol_options
    assert common.max_connection_duration.ToSeconds() == 3
    assert common.max_requests_per_connection.value == 10
    assert common.idle_timeout.ToSeconds() == 11


def test_the_idle_timeout_of_tcp_is_for_http_where_http_has_none() -> None:
    made = cluster(connectionPool={"tcp": {"idleTimeout": "4s"}, "http": {"maxRetries": 1}})
    assert http_options(made).common_http_protocol_options.idle_timeout.ToSeconds() == 4


# --- which HTTP


@pytest.mark.trap(22)
@pytest.mark.parametrize(
    ("port", "http", "spoken", "alpn"),
    [
        ("http", {}, "http_protocol_options", ["istio-http/1.1", "istio", "http/1.1"]),
        ("http2", {}, "http2_protocol_options", ["istio-h2", "istio", "h2"]),
        ("grpc", {}, "http2_protocol_options", ["istio-h2", "istio", "h2"]),
        ("grpc-web", {}, "http2_protocol_options", ["istio-h2", "istio", "h2"]),
        ("http", {"h2UpgradePolicy": "UPGRADE"}, "http2_protocol_options", ["istio-h2", "istio", "h2"]),
        (
            "http",
            {"h2UpgradePolicy": "DO_NOT_UPGRADE"},
            "http_protocol_options",
            ["istio-http/1.1", "istio", "http/1.1"],
        ),
        ("http", {"useClientProtocol": True}, "client's", []),
        ("grpc", {"useClientProtocol": True}, "client's", []),
    ],
)
def test_what_is_offered_is_what_is_spoken(port: str, http: dict[str, Any], spoken: str, alpn: list[str]) -> None:
    made = cluster(port=port, **pool(**http)) if http else cluster(port=port)
    assert codec(made) == spoken
    assert list(tls(made).common_tls_context.alpn_protocols) == alpn


def test_http2_options() -> None:
    keepalive = {"interval": "1s", "timeout": "2s"}
    made = cluster(port="http2", **pool(maxConcurrentStreams=5, http2KeepAlive=keepalive))
    options = http_options(made).explicit_http_config.http2_protocol_options
    assert options.max_concurrent_streams.value == 5
    assert options.connection_keepalive.interval.ToSeconds() == 1
    assert options.connection_keepalive.timeout.ToSeconds() == 2
    assert options.allow_connect, "a WebSocket crosses HTTP/2 as an extended CONNECT"


def test_a_port_that_is_not_http_has_no_http_options() -> None:
    made = cluster(port="tcp")
    assert not made.typed_extension_protocol_options
    assert list(tls(made).common_tls_context.alpn_protocols) == ["istio"]


# --- mutual TLS


@pytest.mark.trap(24)
def test_endpoints_choose_and_the_server_must_be_who_stands_behind_the_service() -> None:
    made = world().clusters[NAME]
    assert [match.name for match in made.transport_socket_matches] == ["tlsMode-istio", "tlsMode-disabled"]
    context = tls(made)
    assert context.sni == f"outbound_.9080_._.{REVIEWS}"
    (san,) = (
        context.common_tls_context.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    )
    assert san.matcher.exact == "spiffe://cluster.local/ns/default/sa/reviews"


def test_a_service_without_workloads_accepts_no_server() -> None:
    made = compiled(service("reviews"), workload("client"))
    validation = tls(made.clusters[NAME]).common_tls_context.combined_validation_context.default_validation_context
    assert [san.matcher.exact for san in validation.match_typed_subject_alt_names] == ["spiffe://none.invalid"]


def test_a_rule_that_asks_for_mutual_tls_gets_it_for_every_endpoint() -> None:
    made = cluster(tls={"mode": "ISTIO_MUTUAL"})
    assert not made.transport_socket_matches
    assert made.transport_socket.name == "envoy.transport_sockets.tls"


# --- subsets, ports, inbound


def test_there_is_a_cluster_for_every_port_and_subset() -> None:
    made = compiled(
        service("reviews", ("http", 9080), ("grpc", 9090)),
        workload("client"),
        destination_rule("reviews", subsets=[subset("v1", loadBalancer={"simple": "RANDOM"}), subset("v2")]),
    )
    names = {f"outbound|{port}|{version}|{REVIEWS}" for port in (9080, 9090) for version in ("", "v1", "v2")}
    assert {name for name in made.clusters if name.startswith("outbound")} == names == set(made.endpoints)
    assert made.clusters[f"outbound|9090|v1|{REVIEWS}"].lb_policy == Cluster.RANDOM
    assert made.clusters[f"outbound|9090|v2|{REVIEWS}"].lb_policy == Cluster.LEAST_REQUEST


@pytest.mark.trap(12)
def test_the_inbound_cluster_obeys_the_pool_of_its_own_services_rule() -> None:
    made = inbound(connectionPool={"tcp": {"maxConnections": 3}}, loadBalancer={"simple": "RANDOM"})
    assert made.circuit_breakers.thresholds[0].max_connections.value == 3
    assert made.lb_policy == Cluster.LEAST_REQUEST


@pytest.mark.trap(12, 10)
def test_with_the_settings_of_the_services_port() -> None:
    """And not with those of a port of the service that has the number of the workload's."""
    ports = [
        {"port": {"number": number}, "connectionPool": {"tcp": {"maxConnections": limit}}}
        for number, limit in ((80, 4), (9080, 5))
    ]
    rule = destination_rule(
        "reviews", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 3}}, "portLevelSettings": ports}
    )
    leading = service("reviews", {"name": "http", "port": 80, "targetPort": 9080})
    made = compiled(leading, workload("reviews"), rule, proxy="reviews-0.default").clusters["inbound|9080||"]
    assert made.circuit_breakers.thresholds[0].max_connections.value == 4


def test_an_upgrade_ends_at_the_sidecar() -> None:
    assert codec(inbound(**pool(h2UpgradePolicy="UPGRADE"))) == "http_protocol_options"


def test_the_clients_protocol_goes_all_the_way() -> None:
    assert codec(inbound(**pool(useClientProtocol=True))) == "client's"


@pytest.mark.trap(32)
def test_on_purpose_the_application_is_reached_on_loopback() -> None:
    (endpoint,) = world(proxy="reviews-0.default").clusters["inbound|9080||"].load_assignment.endpoints[0].lb_endpoints
    assert endpoint.endpoint.address.socket_address.address == "127.0.0.1"


def test_a_rule_in_the_root_namespace_is_for_everybody() -> None:
    rule = destination_rule(
        "all",
        host="*.cluster.local",
        namespace=DEFAULT_ROOT_NAMESPACE,
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
    )
    assert world(rule).clusters[NAME].lb_policy == Cluster.RANDOM


@pytest.mark.parametrize(("capture", "kind"), [("transparent", "original destination"), ("explicit", "forward proxy")])
def test_what_the_mesh_does_not_know_goes_through(capture: str, kind: str) -> None:
    made = world(capture=capture).clusters["PassthroughCluster"]
    assert made.lb_policy == Cluster.CLUSTER_PROVIDED
    assert (made.type == Cluster.ORIGINAL_DST) == (kind == "original destination")
    assert made.HasField("cluster_type") == (kind == "forward proxy")
    assert http_options(made).common_http_protocol_options.idle_timeout.ToSeconds() == 300
    assert world(capture=capture).clusters["BlackHoleCluster"].type == Cluster.STATIC


def test_a_cluster_says_whose_it_is() -> None:
    rules = [destination_rule("reviews", subsets=[subset("v1")])]
    made = world(*rules).clusters[f"outbound|9080|v1|{REVIEWS}"]
    told = MessageToDict(made.metadata)["filterMetadata"]["istio"]
    assert told["config"] == "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
    assert told["subset"] == "v1"
    assert told["services"] == [{"host": REVIEWS, "name": "reviews", "namespace": "default"}]
