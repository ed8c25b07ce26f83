from __future__ import annotations

from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read, snapshot_of
from tests.support.written import destination_rule, service, service_entry, virtual_service, workload

from mizzen.compile import names
from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import LISTENER
from mizzen.registry.addresses import allocate
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext

MessageT = TypeVar("MessageT", bound=Message)
REVIEWS = "reviews.default.svc.cluster.local"
MONGO = "mongo.default.svc.cluster.local"
WORLD = (
    service("reviews"),
    service("mongo", ("mongo", 27017)),
    workload("reviews", ("http", 9080), ("tcp-admin", 9090)),
    workload("client"),
)


def world(*texts: str, capture: str = "transparent", proxy: str = "client-0.default") -> Compiled:
    return compiled(*WORLD, *texts, capture=capture, proxy=proxy)


def address(host: str, *others: str) -> str:
    return allocate({}, [host, *others])[host]


def taker(listener: Listener, kind: type[MessageT], chain: int = 0) -> MessageT:
    *_, last = listener.filter_chains[chain].filters
    assert last.typed_config.type_url.endswith(kind.DESCRIPTOR.full_name)
    return kind.FromString(last.typed_config.value)


# --- transparent capture (Istio 2.15)


def test_all_redirected_connections_come_in_on_15001_and_unknown_ones_go_through() -> None:
    virtual = world().listeners["virtualOutbound"]
    assert virtual.use_original_dst.value
    assert virtual.address.socket_address.port_value == 15001
    loop, rest = virtual.filter_chains
    assert loop.filter_chain_match.destination_port.value == 15001
    assert taker(virtual, TcpProxy, 0).cluster == "BlackHoleCluster"
    assert not rest.HasField("filter_chain_match")
    (route,) = rest.filters
    unknown = world().filters[route.name].typed_config
    assert TcpProxy.FromString(unknown.value).cluster == "PassthroughCluster"


@pytest.mark.trap(33)
def test_http_services_share_a_listener_for_each_port() -> None:
    made = world(service("ratings"), service("web", ("http", 80))).listeners
    assert {name for name in made if name.endswith(("_9080", "_80"))} == {"0.0.0.0_9080", "0.0.0.0_80"}
    manager = taker(made["0.0.0.0_9080"], HttpConnectionManager)
    assert manager.rds.route_config_name == "9080"
    assert made["0.0.0.0_9080"].bind_to_port.value is False


@pytest.mark.trap(33)
def test_a_tcp_service_has_a_listener_of_its_own_at_its_address() -> None:
    made = world()
    (name,) = [name for name in made.listeners if name.endswith("_27017")]
    assert name.startswith("240.240.")
    (chain,) = made.listeners[name].filter_chains
    assert [(one.name, one.WhichOneof("config_type")) for one in chain.filters] == [
        (f"{MONGO}:27017", "config_discovery")
    ]
    assert made.listeners[name].bind_to_port.value is False


ODD = "odd.default.svc.cluster.local"


def test_an_undeclared_port_has_a_listener_of_its_own_that_tells_requests_from_bytes() -> None:
    made = world(service("odd", ("odd", 9080)))
    (name,) = [name for name in made.listeners if name.startswith("240.240.") and name.endswith("_9080")]
    listener = made.listeners[name]
    assert [one.name for one in listener.listener_filters] == ["envoy.filters.listener.http_inspector"]
    requests, rest = listener.filter_chains
    assert list(requests.filter_chain_match.application_protocols) == ["http/1.1", "h2c"]
    assert taker(listener, HttpConnectionManager).rds.route_config_name == f"{ODD}:9080"
    assert [host.domains for host in made.routes[f"{ODD}:9080"].virtual_hosts] == [["*"]]
    assert not rest.HasField("filter_chain_match")
    assert [one.name for one in rest.filters] == [f"{ODD}:9080"]


@pytest.mark.trap(31)
def test_who_says_nothing_on_an_undeclared_port_waits_for_a_second_and_not_for_ever() -> None:
    made = world(service("odd", ("odd", 9080))).listeners
    (listener,) = [one for name, one in made.items() if name.startswith("240.240.") and name.endswith("_9080")]
    assert (listener.listener_filters_timeout.seconds, listener.continue_on_listener_filters_timeout) == (1, True)


@pytest.mark.trap(33)
def test_requests_and_bytes_on_one_port_are_told_apart() -> None:
    made = world(service_entry("all", ("TCP", 9080), hosts=["all.example.com"]))
    listener = made.listeners["0.0.0.0_9080"]
    assert taker(listener, HttpConnectionManager).rds.route_config_name == "9080"
    assert [one.name for one in listener.filter_chains[1].filters] == ["all.example.com:9080"]
    assert not world().listeners["0.0.0.0_9080"].listener_filters


def test_of_a_subnet_requests_and_bytes_are_told_apart_as_well() -> None:
    entry = service_entry("net", {"number": 9080, "name": "odd"}, hosts=["net.example.com"], addresses=["192.0.2.0/24"])
    chains = world(entry).listeners["0.0.0.0_9080"].filter_chains
    shown = [
        (len(one.filter_chain_match.prefix_ranges), *one.filter_chain_match.application_protocols) for one in chains
    ]
    assert shown == [(1,), (1, "http/1.1", "h2c"), (0,)]


def test_callers_in_the_mesh_say_in_their_tls_what_they_bring_to_an_undeclared_port() -> None:
    made = world(service("odd", ("odd", 9090)), workload("odd", ("odd", 9090)), proxy="odd-0.default")
    listener = made.listeners["virtualInbound"]
    assert [one.name for one in listener.listener_filters][1:] == ["envoy.filters.listener.tls_inspector"]
    requests, rest = listener.filter_chains
    assert list(requests.filter_chain_match.application_protocols) == ["h2", "http/1.1"]
    assert not rest.filter_chain_match.application_protocols
    offered = UpstreamTlsContext()
    (mutual, _) = made.clusters[f"outbound|9090||{ODD}"].transport_socket_matches
    mutual.transport_socket.typed_config.Unpack(offered)
    assert list(offered.common_tls_context.alpn_protocols) == []  # Envoy says what a connection is going to speak


@pytest.mark.parametrize("port", sorted(names.RESERVED_PORTS))
def test_ports_of_the_sidecar_itself_get_no_listener(port: int) -> None:
    made = world(service("odd", ("http", port)))
    assert f"0.0.0.0_{port}" not in made.listeners
    assert str(port) not in made.routes


def test_a_new_service_leaves_the_listeners_that_there_are_alone() -> None:
    before, after = world().resources[LISTENER], world(service("new"), service("db", ("tcp", 5432))).resources[LISTENER]
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


def test_a_change_of_policy_changes_no_listener() -> None:
    policy = {"connectionPool": {"tcp": {"idleTimeout": "1s"}}}
    changed = world(virtual_service("reviews"), destination_rule("reviews", trafficPolicy=policy))
    assert changed.resources[LISTENER] == world().resources[LISTENER]


# --- explicit capture


def test_every_service_port_has_a_loopback_port() -> None:
    made = world(capture="explicit").listeners
    http = [taker(one, HttpConnectionManager) for one in made.values() if "http" in str(one.filter_chains[0].filters)]
    names_of_routes = {one.rds.route_config_name for one in http if one.HasField("rds")}
    assert names_of_routes == {f"{REVIEWS}:9080", "http_proxy"}
    assert all(one.address.socket_address.address == "127.0.0.1" for one in made.values())
    assert not any(one.HasField("bind_to_port") for one in made.values())


def test_the_forward_proxy_takes_absolute_addresses_and_resolves_what_it_does_not_know() -> None:
    managers = [
        taker(one, HttpConnectionManager)
        for one in world(capture="explicit").listeners.values()
        if "http_proxy" in str(one)
    ]
    (manager,) = managers
    assert manager.http_protocol_options.allow_absolute_url.value
    filters = [one.name for one in manager.http_filters]
    assert filters == [
        "envoy.filters.http.fault",
        "envoy.filters.http.cors",
        "envoy.filters.http.dynamic_forward_proxy",
        "envoy.filters.http.router",
    ]


def test_a_port_of_a_service_that_is_gone_is_left_out() -> None:
    snapshot = snapshot_of(read(*WORLD), "explicit")
    del snapshot.services[REVIEWS]  # type: ignore[attr-defined]
    proxy = snapshot.proxies["client-0.default"]
    made = Compiled(Compiler().compile(proxy, snapshot))
    assert f"{REVIEWS}:9080" not in made.routes
    assert len(made.listeners) == len(world(capture="explicit").listeners) - 1


# --- inbound


def inbound(capture: str) -> list[Listener]:
    made = world(proxy="reviews-0.default", capture=capture).listeners
    return [one for one in made.values() if one.traffic_direction == TrafficDirection.INBOUND]


def test_inbound_has_one_listener_with_a_chain_for_each_port() -> None:
    (listener,) = inbound("transparent")
    assert listener.name == "virtualInbound"
    assert listener.address.socket_address.port_value == 15006
    assert [one.name for one in listener.listener_filters] == ["envoy.filters.listener.original_dst"]
    matches = [one.filter_chain_match.destination_port.value for one in listener.filter_chains]
    assert matches == [9080, 9090]
    assert taker(listener, HttpConnectionManager, 0).route_config.name == "inbound|9080||"
    assert taker(listener, TcpProxy, 1).cluster == "inbound|9090||"


def test_inbound_has_a_listener_for_each_port_where_nothing_is_redirected() -> None:
    http, tcp = inbound("explicit")
    assert taker(http, HttpConnectionManager).route_config.name == "inbound|9080||"
    assert taker(tcp, TcpProxy).cluster == "inbound|9090||"
    assert not http.filter_chains[0].HasField("filter_chain_match")


@pytest.mark.trap(22)
@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_inbound_takes_mutual_tls_of_its_trust_domain_and_nothing_else(capture: str) -> None:
    for listener in inbound(capture):
        assert not listener.HasField("default_filter_chain")
        for chain in listener.filter_chains:
            context = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
            assert context.require_client_certificate.value
            common = context.common_tls_context
            validation = common.combined_validation_context.default_validation_context
            (accepted,) = validation.match_typed_subject_alt_names
            assert accepted.matcher.prefix == "spiffe://cluster.local/"
            assert common.combined_validation_context.validation_context_sds_secret_config.name == "ROOTCA"
            assert [one.name for one in common.tls_certificate_sds_secret_configs] == ["default"]


def test_a_workload_without_ports_takes_nothing_in() -> None:
    made = compiled(service("reviews"), workload("client", ports=[])).listeners
    assert "virtualInbound" not in made


def route_of_inbound(port: str) -> Any:
    made = compiled(service("a", (port, 9080)), workload("a"), proxy="a-0.default")
    manager = taker(made.listeners["virtualInbound"], HttpConnectionManager)
    return manager, manager.route_config.virtual_hosts[0].routes[0].route


@pytest.mark.trap(15)
def test_before_the_application_there_is_no_timeout_and_hardly_a_retry() -> None:
    manager, action = route_of_inbound("http")
    assert action.timeout.ToMilliseconds() == 0
    assert action.retry_policy.retry_on == "reset-before-request"
    assert manager.stream_idle_timeout.ToMilliseconds() == 0
    assert manager.HasField("stream_idle_timeout")


@pytest.mark.parametrize("port", ["grpc", "grpc-web"])
def test_grpc_is_not_retried_before_the_application(port: str) -> None:
    _, action = route_of_inbound(port)
    assert not action.HasField("retry_policy")


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_a_websocket_is_let_in_over_http2_too(capture: str) -> None:
    manager = taker(inbound(capture)[0], HttpConnectionManager)
    assert [upgrade.upgrade_type for upgrade in manager.upgrade_configs] == ["websocket"]
    assert manager.http2_protocol_options.allow_connect


def test_the_application_is_told_who_calls() -> None:
    manager, _ = route_of_inbound("http")
    assert manager.forward_client_cert_details == HttpConnectionManager.APPEND_FORWARD
    assert manager.set_current_client_cert_details.uri
    assert manager.server_name == "istio-envoy"
