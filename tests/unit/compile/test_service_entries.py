"""What a proxy is given for services outside the mesh."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read, snapshot_of
from tests.support.written import (
    destination_rule,
    gateway_workload,
    mesh_config,
    service_entry,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER, LISTENER, ROUTES
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from mizzen.stubs.envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig,
)
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

HOST = "api.example.com"
NAME = f"outbound|80||{HOST}"


def world(*texts: str, capture: str = "transparent", **spec: Any) -> Compiled:
    return compiled(service_entry("api", **spec), workload("client"), *texts, capture=capture)


def dns(made: Cluster) -> DnsCluster:
    found = DnsCluster()
    assert made.cluster_type.typed_config.Unpack(found)
    return found


@pytest.mark.parametrize(("resolution", "one_at_a_time"), [("DNS", False), ("DNS_ROUND_ROBIN", True)])
def test_names_are_looked_up_for_as_long_as_answers_say(resolution: str, one_at_a_time: bool) -> None:
    made = world(resolution=resolution)
    config = dns(made.clusters[NAME])
    assert (config.respect_dns_ttl, config.all_addresses_in_single_endpoint) == (True, one_at_a_time)
    assert NAME not in made.endpoints


def test_a_subset_looks_up_its_own_endpoints_and_may_have_none() -> None:
    endpoints = [{"address": f"{name}.example.com", "labels": {"version": name}} for name in ("v1", "v2")]
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v9")]
    rule = destination_rule("api", host=HOST, subsets=subsets)
    made = world(rule, resolution="DNS", endpoints=endpoints).clusters
    (locality,) = made[f"outbound|80|v1|{HOST}"].load_assignment.endpoints
    assert [one.endpoint.address.socket_address.address for one in locality.lb_endpoints] == ["v1.example.com"]
    assert made[f"outbound|80|v9|{HOST}"].type == Cluster.STATIC


def test_what_was_dialled_is_taken_or_where_nobody_dials_the_name_in_the_request() -> None:
    assert world().clusters[NAME].type == Cluster.ORIGINAL_DST
    assert world(capture="explicit").clusters[NAME].cluster_type.name == "envoy.clusters.dynamic_forward_proxy"


@pytest.mark.parametrize("resolution", ["NONE", "DNS"])
def test_what_is_outside_speaks_plaintext_unless_a_rule_says_otherwise(resolution: str) -> None:
    made = world(resolution=resolution).clusters[NAME]
    assert not made.transport_socket_matches
    assert not made.HasField("transport_socket")
    rule = destination_rule("api", host=HOST, trafficPolicy={"tls": {"mode": "SIMPLE"}})
    assert world(rule, resolution=resolution).clusters[NAME].HasField("transport_socket")


def test_only_who_may_see_it_can_call_it() -> None:
    entry = service_entry("api", exportTo=["."])
    clients = (workload("client"), workload("other", namespace="elsewhere"))
    assert NAME in compiled(entry, *clients).clusters
    assert NAME not in compiled(entry, *clients, proxy="other-0.elsewhere").clusters


def test_hosts_are_called_by_their_name_and_addresses_alone() -> None:
    made = world(addresses=["192.0.2.1", "198.51.100.0/24", "192.0.2.7"])
    assert list(made.hosts("80")[f"{HOST}:80"].domains) == [HOST, f"{HOST}.", "192.0.2.1", "192.0.2.7"]


def test_routes_lead_there_and_from_there() -> None:
    route = virtual_service("api", to("other.example.com", timeout="3s"), hosts=[HOST])
    other = service_entry("other", ("HTTP", 8080), resolution="DNS")
    made = world(route, other, resolution="DNS")
    assert made.cluster_of("80", f"{HOST}:80") == ["outbound|8080||other.example.com"]


def listener(made: Compiled, name: str) -> tuple[list[tuple[str, list[str], list[str]]], bool]:
    """The chains of a listener: name, subnets and server names; and whether something takes the rest."""
    found = made.listeners[name]
    chains = [
        (
            chain.name,
            [one.address_prefix for one in chain.filter_chain_match.prefix_ranges],
            list(chain.filter_chain_match.server_names),
        )
        for chain in found.filter_chains
    ]
    return chains, found.HasField("default_filter_chain")


def test_tls_is_told_apart_by_its_server_name_and_the_rest_goes_through() -> None:
    other = service_entry("other", ("TLS", 443))
    made = compiled(service_entry("api", ("HTTPS", 443)), other, workload("client"))
    chains, rest = listener(made, "0.0.0.0_443")
    assert [names for _, _, names in chains] == [[HOST], ["other.example.com"]]
    assert rest
    assert [one.name for one in made.listeners["0.0.0.0_443"].listener_filters] == [
        "envoy.filters.listener.tls_inspector"
    ]


def test_tls_at_one_address_is_told_apart_by_its_server_name() -> None:
    hosts = [HOST, "other.example.com"]
    made = compiled(service_entry("api", ("TLS", 443), hosts=hosts, addresses=["192.0.2.1"]), workload("client"))
    chains, rest = listener(made, "0.0.0.0_443")
    assert [(subnets, names) for _, subnets, names in chains] == [(["192.0.2.1"], [host]) for host in hosts]
    assert rest
    assert "192.0.2.1_443" not in made.listeners


def test_bytes_are_told_apart_by_addresses() -> None:
    made = compiled(
        service_entry("api", ("TCP", 90), addresses=["192.0.2.1"]),
        service_entry("net", ("TCP", 90), addresses=["198.51.100.0/24"]),
        service_entry("auto", ("TCP", 90), resolution="DNS"),
        workload("client"),
    )
    assert listener(made, "192.0.2.1_90") == ([("", [], [])], False)
    assert listener(made, "0.0.0.0_90") == ([("0.0.0.0_90_198.51.100.0/24", ["198.51.100.0"], [])], True)
    assert not made.listeners["0.0.0.0_90"].listener_filters
    assert [name for name in made.listeners if name.startswith("240.240.") and name.endswith("_90")]


def test_trap_in_2_7_bytes_without_addresses_are_all_on_that_port() -> None:
    chains, rest = listener(compiled(service_entry("api", ("TCP", 90)), workload("client")), "0.0.0.0_90")
    assert (chains, rest) == ([("", [], [])], False)


def test_requests_and_subnets_share_a_port() -> None:
    net = service_entry("net", ("TCP", 80), addresses=["198.51.100.0/24"])
    chains, rest = listener(world(net), "0.0.0.0_80")
    assert ([names for _, names, _ in chains], rest) == ([["198.51.100.0"], []], False)


def test_in_a_shared_proxy_names_are_read_only_on_ports_that_need_it() -> None:
    entries = [service_entry("api", ("TLS", 443)), service_entry("b", ("TLS", 8443)), service_entry("c", ("TCP", 90))]
    made = compiled(*entries, workload("client"), proxy="host.mizzen-system", capture="node")
    found = made.listeners["client-0.default/virtualOutbound"]
    (_, reader) = found.listener_filters
    ports = [one.destination_port_range.start for one in reader.filter_disabled.not_match.or_match.rules]
    assert ports == [443, 8443]
    named = {chain.name: chain.filter_chain_match.destination_port.value for chain in found.filter_chains}
    assert named["0.0.0.0_8443_b.example.com"] == 8443
    assert named["0.0.0.0_90"] == 90


@pytest.mark.trap(21)
@pytest.mark.parametrize(
    ("mode", "host", "cluster"),
    [("ALLOW_ANY", "allow_any", "PassthroughCluster"), ("REGISTRY_ONLY", "block_all", "BlackHoleCluster")],
)
def test_what_is_no_service_goes_where_the_mesh_allows(mode: str, host: str, cluster: str) -> None:
    config = mesh_config(outboundTrafficPolicy={"mode": mode})
    made = world(config)
    (route,) = made.hosts("80")[host].routes
    assert (route.direct_response.status, route.route.cluster) == ((502, "") if host == "block_all" else (0, cluster))
    taken = TcpProxy()
    made.filters["virtualOutbound-catchall-tcp"].typed_config.Unpack(taken)
    assert taken.cluster == cluster
    assert host in world(config, capture="explicit").hosts("http_proxy")


def test_a_change_of_egress_changes_no_listener() -> None:
    config = mesh_config(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"})
    assert world(config).resources[LISTENER] == world().resources[LISTENER]


def test_a_compiler_notices_a_change_of_egress() -> None:
    compiler, entry = Compiler(), (service_entry("api"), workload("client"))
    snapshots = [
        snapshot_of(read(*entry, mesh_config(outboundTrafficPolicy={"mode": mode})), "transparent", version)
        for version, mode in enumerate(("ALLOW_ANY", "REGISTRY_ONLY"))
    ]
    before, after = (compiler.compile(one.proxies["client-0.default"], one) for one in snapshots)
    assert before[ROUTES] != after[ROUTES]


WILD: dict[str, Any] = {"hosts": ["*.example.com"], "resolution": "DYNAMIC_DNS"}


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_the_host_of_a_request_is_looked_up_by_the_cluster(capture: str) -> None:
    made = world(capture=capture, **WILD)
    cluster = made.clusters["outbound|80||*.example.com"]
    assert cluster.cluster_type.name == "envoy.clusters.dynamic_forward_proxy"
    assert not made.endpoints


@pytest.mark.parametrize("proxy", ["client-0.default", "ingress-0.default"])
def test_a_server_name_is_looked_up_by_a_listener_inside_the_proxy(proxy: str) -> None:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 8443}]
    texts = (service_entry("api", *ports, **WILD), workload("client"), gateway_workload())
    snapshot = snapshot_of(read(*texts), "transparent")
    made = Compiled(Compiler().compile(snapshot.proxies[proxy], snapshot))
    (locality,) = made.clusters["outbound|443||*.example.com"].load_assignment.endpoints
    name = locality.lb_endpoints[0].endpoint.address.envoy_internal_address.server_listener_name
    listener = made.listeners[name]
    assert [one.name for one in listener.listener_filters] == ["envoy.filters.listener.tls_inspector"]
    look_up, passing = listener.filter_chains[0].filters
    config, proxied = FilterConfig(), TcpProxy()
    assert look_up.typed_config.Unpack(config)
    assert passing.typed_config.Unpack(proxied)
    assert config.port_value == 8443
    assert made.clusters[proxied.cluster].cluster_type.name == "envoy.clusters.dynamic_forward_proxy"


def test_what_rules_say_of_connections_by_server_name_is_for_those_that_leave_the_proxy() -> None:
    port = {"number": 443, "name": "tls", "protocol": "TLS"}
    mesh = mesh_config(connectTimeout="3s", tcpKeepalive={"probes": 4})
    policy = {"connectionPool": {"tcp": {"maxConnections": 5}}, "proxyProtocol": {"version": "V2"}}
    subset = {
        "name": "few",
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1, "connectTimeout": "2s"}}},
    }
    rule = destination_rule("api", host="*.example.com", trafficPolicy=policy, subsets=[subset])
    made = compiled(service_entry("api", port, **WILD), workload("client"), rule, mesh)
    expected = {
        "outbound|443||*.example.com": (10, 0, 2**32 - 1, False),
        "dynamic|443|*.example.com": (3, 4, 5, True),
        "outbound|443|few|*.example.com": (10, 0, 2**32 - 1, False),
        "dynamic|443|few|*.example.com": (2, 4, 1, True),
    }
    found = {
        name: (
            one.connect_timeout.seconds,
            one.upstream_connection_options.tcp_keepalive.keepalive_probes.value,
            one.circuit_breakers.thresholds[0].max_connections.value,
            "proxy_protocol" in one.transport_socket.name,
        )
        for name, one in made.clusters.items()
        if name in expected
    }
    assert found == expected
    origins = {read(text)[0].key for text in (rule, mesh)}
    assert origins <= set(made.resources[CLUSTER]["dynamic|443|*.example.com"].origins)
    (locality,) = made.clusters["outbound|443|few|*.example.com"].load_assignment.endpoints
    name = locality.lb_endpoints[0].endpoint.address.envoy_internal_address.server_listener_name
    assert name == "dynamic|443|few|*.example.com"
    assert name in made.listeners


def test_in_a_node_proxy_each_seat_looks_names_up_by_itself() -> None:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    snapshot = snapshot_of(read(service_entry("api", *ports, **WILD), workload("client")), "node")
    (proxy,) = snapshot.proxies.values()
    made = Compiled(Compiler().compile(proxy, snapshot))
    name = "client-0.default/dynamic|443|*.example.com"
    assert name in made.listeners
    source = made.clusters[name].upstream_bind_config.source_address
    assert source.network_namespace_filepath == "/run/netns/client-0"
