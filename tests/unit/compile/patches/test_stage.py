"""What EnvoyFilters make of the configuration of a sidecar, whatever the way in which it takes traffic (Istio 2.19)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.compiled import Compiled, all_proxies, compiled, every_manager, managers
from tests.support.worlds import NODE_PROXY, read, snapshot_of
from tests.support.written import (
    envoy_filter,
    patch,
    proxy_config,
    service,
    service_entry,
    sidecar,
    to,
    typed,
    virtual_service,
    workload,
)

from mizzen.compile import connection_limits
from mizzen.compile.compiler import Compiler
from mizzen.compile.patches.places import Subject
from mizzen.compile.patches.selecting import Selection
from mizzen.compile.rate_limits import is_slot
from mizzen.compile.resource import CLUSTER, FILTERS, LISTENER, ROUTES
from mizzen.mesh.model import Snapshot
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import VirtualHost
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

WORLD = (
    service(
        "shop", {"name": "http", "port": 80, "targetPort": 8080}, {"name": "tcp-db", "port": 81, "targetPort": 8081}
    ),
    service("other", ("http", 90)),
    workload("shop", ("http", 8080), ("tcp-db", 8081), labels={"app": "shop", "version": "v1"}),
    workload("other", ("http", 90)),
)
MANAGER = "envoy.filters.network.http_connection_manager"
ROUTER = "envoy.filters.http.router"
CAPTURES = ["explicit", "transparent", "node"]
LUA = typed("lua", "http.lua.v3.Lua", default_source_code={"inline_string": "function envoy_on_request(h) end"})
INBOUND, OUTBOUND = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND"


def at(filter_: str = MANAGER, sub: str = "", **listener: Any) -> dict[str, Any]:
    """A match of a listener by its filters."""
    chain: dict[str, Any] = {"filter": {"name": filter_} | ({"subFilter": {"name": sub}} if sub else {})}
    return {**listener, "filterChain": chain}


def named(name: str) -> dict[str, Any]:
    return {**LUA, "name": name}


def world(*patches: Mapping[str, Any], capture: str = "transparent", **spec: Any) -> Compiled:
    proxy = NODE_PROXY if capture == "node" else "shop-0.default"
    return compiled(*WORLD, envoy_filter("it", *patches, **spec), proxy=proxy, capture=capture)


def filter_names(given: Compiled) -> dict[str, list[str]]:
    """The names of all filters for requests, without the places of limits."""
    return {
        name: [one.name for one in manager.http_filters if not is_slot(one.name)]
        for name, manager in every_manager(given).items()
    }


def with_lua(given: Compiled) -> set[str]:
    return {name for name, filters in filter_names(given).items() if "lua" in filters}


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"context": INBOUND}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": at(sub=ROUTER)}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": at(sub=ROUTER, portNumber=8080)}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": at(sub=ROUTER, portNumber=80)}, set()),
        ({"context": INBOUND, "listener": at(sub=ROUTER, name="virtualInbound")}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": at(sub=ROUTER, name="virtualOutbound")}, set()),
        ({"context": INBOUND, "listener": at("envoy.http_connection_manager", "envoy.router")}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": at(sub="no.such.filter")}, set()),
        ({"context": INBOUND, "listener": {"filterChain": {"destinationPort": 8080}}}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": {"filterChain": {"destinationPort": 8081}}}, set()),
        ({"context": INBOUND, "listener": {"filterChain": {"transportProtocol": "tls"}}}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": {"filterChain": {"name": "0.0.0.0_8080"}}}, {"inbound|8080||;"}),
        ({"context": INBOUND, "listener": {"filterChain": {"sni": "a.example.com"}}}, set()),
        ({"context": "GATEWAY"}, set()),
    ],
)
def test_a_filter_before_the_application(match: dict[str, Any], expected: set[str], capture: str) -> None:
    given = world(patch("HTTP_FILTER", "INSERT_BEFORE", LUA, **match), capture=capture)
    assert with_lua(given) == expected


@pytest.mark.parametrize(
    ("capture", "everywhere", "port_80"),
    [
        (
            "explicit",
            {
                "outbound_http_proxy;",
                "outbound_shop.default.svc.cluster.local:80;",
                "outbound_other.default.svc.cluster.local:90;",
            },
            {"outbound_shop.default.svc.cluster.local:80;"},
        ),
        ("transparent", {"outbound_80;", "outbound_90;"}, {"outbound_80;"}),
    ],
)
def test_a_filter_where_requests_leave(capture: str, everywhere: set[str], port_80: set[str]) -> None:
    def found(**listener: Any) -> set[str]:
        match = {"context": OUTBOUND, "listener": at(sub=ROUTER, **listener)}
        return with_lua(world(patch("HTTP_FILTER", "INSERT_BEFORE", LUA, **match), capture=capture))

    assert found() == everywhere
    assert found(portNumber=80) == port_80
    assert found(name="0.0.0.0_80") == port_80
    assert found(portNumber=8080) == found(name="0.0.0.0_8080") == set()


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_port_that_a_sidecar_opens_is_inbound(capture: str) -> None:
    opened = {
        "port": {"number": 8080, "protocol": "HTTP", "name": "http"},
        "captureMode": "NONE",
        "bind": "127.0.0.3",
        "defaultEndpoint": "127.0.0.1:1",
    }
    obeyed = sidecar(ingress=[opened], workloadSelector={"labels": {"app": "shop"}})

    def found(one: dict[str, Any]) -> Listener:
        proxy = NODE_PROXY if capture == "node" else "shop-0.default"
        made = compiled(*WORLD, obeyed, envoy_filter("it", one), proxy=proxy, capture=capture).listeners
        (listener,) = (made[name] for name in made if name.endswith("127.0.0.3_8080"))
        return listener

    def has_lua(context: str, **listener: Any) -> bool:
        match = {"context": context, "listener": at(sub=ROUTER, **listener)}
        (manager,) = managers(found(patch("HTTP_FILTER", "INSERT_BEFORE", LUA, **match)))
        return any(one.name == "lua" for one in manager.http_filters)

    assert has_lua(INBOUND)
    assert has_lua(INBOUND, portNumber=8080)
    assert has_lua(INBOUND, name="127.0.0.3_8080")
    assert not has_lua(INBOUND, portNumber=15006)
    assert not has_lua(OUTBOUND)
    value = {"per_connection_buffer_limit_bytes": 7}
    merge = patch("LISTENER", "MERGE", value, context=INBOUND, listener={"portNumber": 8080})
    assert found(merge).per_connection_buffer_limit_bytes.value == 7


def test_a_node_proxy_has_it_at_the_seats_of_the_workloads_that_are_selected() -> None:
    insert = patch("HTTP_FILTER", "INSERT_BEFORE", LUA, listener=at(sub=ROUTER, portNumber=80))
    given = world(insert, capture="node", workloadSelector={"labels": {"app": "shop"}})
    assert with_lua(given) == {"outbound_shop-0.default/80;"}
    insert = patch("HTTP_FILTER", "INSERT_BEFORE", LUA, context=INBOUND, listener=at(sub=ROUTER))
    given = world(insert, capture="node", workloadSelector={"labels": {"app": "shop"}})
    found = {name for name, one in given.listeners.items() if any("lua" in str(m) for m in managers(one))}
    # Neighbours come in by another listener, and not past the filter.
    assert found == {"shop-0.default/virtualInbound", "shop-0.default/inside_8080"}


@pytest.mark.parametrize(
    ("operation", "match", "expected"),
    [
        ("ADD", {}, ["fault", "cors", "+", "router"]),
        ("INSERT_FIRST", {}, ["+", "fault", "cors", "router"]),
        ("INSERT_BEFORE", {}, ["+", "fault", "cors", "router"]),
        ("INSERT_AFTER", {}, ["fault", "cors", "+", "router"]),
        ("INSERT_BEFORE", at(sub="envoy.filters.http.cors"), ["fault", "+", "cors", "router"]),
        ("INSERT_AFTER", at(sub="envoy.filters.http.fault"), ["fault", "+", "cors", "router"]),
        ("INSERT_AFTER", at(sub="none"), ["fault", "cors", "router"]),
        ("REPLACE", at(sub="envoy.filters.http.cors"), ["fault", "+", "router"]),
        ("REMOVE", at(sub="envoy.filters.http.cors"), ["fault", "router"]),
    ],
)
def test_where_http_filters_go(operation: str, match: dict[str, Any], expected: list[str]) -> None:
    value = None if operation == "REMOVE" else named("+")
    given = world(patch("HTTP_FILTER", operation, value, context=OUTBOUND, **({"listener": match} if match else {})))
    assert [one.removeprefix("envoy.filters.http.") for one in filter_names(given)["outbound_80;"]] == expected


def test_filters_of_a_class_stand_in_the_order_of_their_patches() -> None:
    def added(name: str, class_: str) -> dict[str, Any]:
        made = patch("HTTP_FILTER", "ADD", named(name), context=INBOUND)
        made["patch"]["filterClass"] = class_
        return made

    given = world(
        added("s1", "STATS"), added("z1", "AUTHZ"), added("n1", "AUTHN"), added("n2", "AUTHN"), added("z2", "AUTHZ")
    )
    names = filter_names(given)["inbound|8080||;"]
    assert names == ["n1", "n2", "z1", "z2", "s1", ROUTER]


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_connection_manager_is_merged_within_its_type(capture: str) -> None:
    url = f"type.googleapis.com/{HttpConnectionManager.DESCRIPTOR.full_name}"
    value = {
        "name": MANAGER,
        "typed_config": {
            "@type": url,
            "server_header_transformation": "PASS_THROUGH",
            "use_remote_address": True,
            "normalize_path": False,
            "common_http_protocol_options": {"idle_timeout": "30s"},
        },
    }
    given = world(patch("NETWORK_FILTER", "MERGE", value, context=INBOUND, listener=at()), capture=capture)
    changed = [one for name, one in every_manager(given).items() if "inbound|" in name]
    assert changed
    for manager in changed:
        assert manager.server_header_transformation == HttpConnectionManager.PASS_THROUGH
        assert manager.use_remote_address.value
        assert manager.HasField("normalize_path")
        assert not manager.normalize_path.value  # it is written, though it is the default
        assert manager.common_http_protocol_options.idle_timeout.seconds == 30
        assert manager.server_name == "istio-envoy"  # the rest stays
    assert not any(one.use_remote_address.value for name, one in every_manager(given).items() if "outbound_" in name)


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_a_filter_of_another_type_is_left_alone(capture: str) -> None:
    value = typed(MANAGER, "network.tcp_proxy.v3.TcpProxy", idle_timeout="1s")
    given = world(patch("NETWORK_FILTER", "MERGE", value, context=INBOUND, listener=at()), capture=capture)
    assert given.listeners == world(capture=capture).listeners


@pytest.mark.parametrize("capture", CAPTURES)
def test_the_route_of_connections_is_changed_by_itself(capture: str) -> None:
    value = typed("envoy.filters.network.tcp_proxy", "network.tcp_proxy.v3.TcpProxy", idle_timeout="9s")
    match = at("envoy.filters.network.tcp_proxy", portNumber=81)
    given = world(patch("NETWORK_FILTER", "MERGE", value, context=OUTBOUND, listener=match), capture=capture)
    assert given.listeners == world(capture=capture).listeners  # no connection ends
    changed = {
        name.rpartition("/")[2]
        for name, one in given.filters.items()
        if TcpProxy.FromString(one.typed_config.value).idle_timeout.seconds == 9
    }
    assert changed == {"shop.default.svc.cluster.local:81"}


def test_network_filters_stand_before_the_one_that_takes_the_connection() -> None:
    value = typed(
        "rate",
        "network.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="rate",
        token_bucket={"max_tokens": 1, "fill_interval": "1s"},
    )
    for operation, match in (("ADD", {}), ("INSERT_AFTER", {}), ("INSERT_BEFORE", at()), ("INSERT_FIRST", at())):
        made = patch("NETWORK_FILTER", operation, value, context=INBOUND, **({"listener": match} if match else {}))
        for chain in world(made).listeners["virtualInbound"].filter_chains:
            # As in Istio INSERT_FIRST does not ask for the filter that is named.
            anywhere = not match or operation == "INSERT_FIRST"
            expected = ["rate"] if anywhere or chain.name == "inbound|8080||" else []
            *before, _ = [one.name for one in chain.filters]
            assert [name for name in before if not connection_limits.is_slot(name)] == expected


def _cluster_changes(match: dict[str, Any], capture: str = "transparent", **value: Any) -> set[str]:
    given = world(patch("CLUSTER", "MERGE", value or {"connect_timeout": "7s"}, **match), capture=capture)
    return {name for name, one in given.clusters.items() if one.connect_timeout.seconds == 7}


SHOP_80 = "outbound|80||shop.default.svc.cluster.local"


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"cluster": {"name": SHOP_80}}, {SHOP_80}),
        ({"cluster": {"service": "shop.default.svc.cluster.local", "portNumber": 80}}, {SHOP_80}),
        ({"context": INBOUND}, {"inbound|8080||", "inbound|8081||"}),
        ({"context": INBOUND, "cluster": {"portNumber": 8080}}, {"inbound|8080||"}),
        (
            {"context": INBOUND, "cluster": {"service": "shop.default.svc.cluster.local", "portNumber": 8081}},
            {"inbound|8081||"},
        ),
        ({"cluster": {"subset": "v1"}}, set()),
        ({"cluster": {"name": "BlackHoleCluster"}}, {"BlackHoleCluster"}),
        ({"context": "GATEWAY"}, set()),
    ],
)
def test_which_clusters_a_patch_is_for(match: dict[str, Any], expected: set[str], capture: str) -> None:
    assert _cluster_changes(match, capture) == expected


def test_clusters_at_a_seat_are_matched_without_its_name() -> None:
    assert _cluster_changes({"cluster": {"name": SHOP_80}}, "node") == {
        f"shop-0.default/{SHOP_80}",
        f"other-0.default/{SHOP_80}",
    }
    # It is nobody's alone.
    assert _cluster_changes({"cluster": {"name": "BlackHoleCluster"}}, "node") == set()


@pytest.mark.parametrize(
    ("spec", "hidden"),
    [
        ({}, "sni|443|api.example.com"),
        ({"hosts": ["*.example.com"], "resolution": "DYNAMIC_DNS"}, "dynamic|443|*.example.com"),
    ],
)
def test_the_ways_inside_the_proxy_are_hidden(spec: dict[str, Any], hidden: str) -> None:
    entry = service_entry("api", {"number": 443, "name": "tls", "protocol": "TLS"}, **spec)
    patches = [
        patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}),
        patch("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": 7}),
    ]
    given = compiled(*WORLD, entry, envoy_filter("it", *patches), proxy="shop-0.default")
    assert given.clusters[hidden].connect_timeout.seconds == 10
    assert not given.listeners[hidden].HasField("per_connection_buffer_limit_bytes")


def test_a_duration_replaces_as_a_whole() -> None:
    given = world(patch("CLUSTER", "MERGE", {"connect_timeout": "0.5s"}, cluster={"name": SHOP_80}))
    assert given.clusters[SHOP_80].connect_timeout.ToMilliseconds() == 500


def test_lists_are_appended_or_replaced() -> None:
    value = {"circuit_breakers": {"thresholds": [{"max_connections": 5}]}}
    counts = {}
    for operation in ("MERGE", "MERGE_AND_REPLACE_LIST"):
        given = world(patch("CLUSTER", operation, value, cluster={"name": SHOP_80}))
        counts[operation] = len(given.clusters[SHOP_80].circuit_breakers.thresholds)
    before = len(world().clusters[SHOP_80].circuit_breakers.thresholds)
    assert counts == {"MERGE": before + 1, "MERGE_AND_REPLACE_LIST": 1}


def test_a_socket_goes_into_the_one_of_its_name() -> None:
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": tls, "max_session_keys": 0, "sni": "x"}}
    given = world(patch("CLUSTER", "MERGE", {"transport_socket": socket}, cluster={"name": SHOP_80}))
    cluster = given.clusters[SHOP_80]
    assert not cluster.HasField("transport_socket")
    mutual = UpstreamTlsContext.FromString(cluster.transport_socket_matches[0].transport_socket.typed_config.value)
    assert mutual.sni == "x"
    assert mutual.common_tls_context.tls_certificate_sds_secret_configs


ADDED = {"name": "outside", "type": "STRICT_DNS", "connect_timeout": "1s"}


def test_clusters_are_added_and_removed() -> None:
    given = world(patch("CLUSTER", "ADD", ADDED), patch("CLUSTER", "REMOVE", cluster={"name": SHOP_80}))
    assert "outside" in given.clusters
    assert SHOP_80 not in given.clusters
    assert given.resources[CLUSTER]["outside"].origins == (Key("EnvoyFilter", "default", "it"),)
    # What there is keeps its place.
    given = world(patch("CLUSTER", "ADD", {**ADDED, "name": SHOP_80}))
    assert given.clusters[SHOP_80] == world().clusters[SHOP_80]


LISTENER_VALUE = {
    "name": "extra",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9999}},
    "filter_chains": [
        {"filters": [typed("t", "network.tcp_proxy.v3.TcpProxy", stat_prefix="t", cluster=SHOP_80)]},
    ],
}


@pytest.mark.trap(42)
@pytest.mark.parametrize(("context", "added"), [("ANY", True), (OUTBOUND, True), (INBOUND, True), ("GATEWAY", False)])
def test_envoyfilter_listener_add_any_context_is_for_outbound(context: str, added: bool) -> None:
    given = world(patch("LISTENER", "ADD", LISTENER_VALUE, context=context))
    assert ("extra" in given.listeners) == added


def test_a_listener_that_is_added_stands_at_its_seat() -> None:
    given = world(
        patch("LISTENER", "ADD", LISTENER_VALUE), capture="node", workloadSelector={"labels": {"app": "shop"}}
    )
    listener = given.listeners["shop-0.default/extra"]
    assert "other-0.default/extra" not in given.listeners
    assert listener.address.socket_address.network_namespace_filepath == "/run/netns/shop-0"
    proxy = TcpProxy.FromString(listener.filter_chains[0].filters[0].typed_config.value)
    assert proxy.cluster == f"shop-0.default/{SHOP_80}"


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        ([patch("LISTENER", "REMOVE", context=OUTBOUND, listener={"name": "0.0.0.0_80"})], {"0.0.0.0_80"}),
        ([patch("LISTENER", "REMOVE", context=OUTBOUND, listener={"portNumber": 90})], {"0.0.0.0_90"}),
        ([patch("LISTENER", "REMOVE", context=INBOUND, listener={"portNumber": 15006})], {"virtualInbound"}),
        ([patch("LISTENER", "REMOVE", context=INBOUND, listener={"portNumber": 8080})], set()),
    ],
)
def test_which_listeners_are_removed(patches: list[dict[str, Any]], expected: set[str]) -> None:
    assert world().listeners.keys() - world(*patches).listeners.keys() == expected


def test_listeners_are_merged() -> None:
    given = world(patch("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": 4096}, context=INBOUND))
    assert given.listeners["virtualInbound"].per_connection_buffer_limit_bytes.value == 4096
    assert not given.listeners["virtualOutbound"].HasField("per_connection_buffer_limit_bytes")


def test_filter_chains_are_added_merged_and_removed() -> None:
    chain = {
        "name": "mine",
        "filter_chain_match": {"destination_port": 7777},
        "filters": [typed("t", "network.tcp_proxy.v3.TcpProxy", stat_prefix="t", cluster=SHOP_80)],
    }
    given = world(
        patch("FILTER_CHAIN", "ADD", chain, context=INBOUND, listener={"name": "virtualInbound"}),
        patch("FILTER_CHAIN", "REMOVE", context=INBOUND, listener={"filterChain": {"destinationPort": 8081}}),
        patch(
            "FILTER_CHAIN",
            "MERGE",
            {"transport_socket_connect_timeout": "3s"},
            context=INBOUND,
            listener={"portNumber": 8080},
        ),
    )
    chains = {one.name: one for one in given.listeners["virtualInbound"].filter_chains}
    assert chains.keys() == {"inbound|8080||", "mine"}
    assert chains["inbound|8080||"].transport_socket_connect_timeout.seconds == 3


@pytest.mark.parametrize(
    ("operation", "name", "expected"),
    [
        ("ADD", "", ["original_dst", "+"]),
        ("INSERT_FIRST", "", ["+", "original_dst"]),
        ("INSERT_BEFORE", "envoy.filters.listener.original_dst", ["+", "original_dst"]),
        ("INSERT_AFTER", "envoy.listener.original_dst", ["original_dst", "+"]),
        ("REPLACE", "envoy.filters.listener.original_dst", ["+"]),
        ("REMOVE", "envoy.filters.listener.original_dst", []),
    ],
)
def test_where_listener_filters_go(operation: str, name: str, expected: list[str]) -> None:
    value = None if operation == "REMOVE" else typed("+", "listener.tls_inspector.v3.TlsInspector")
    match = {"context": INBOUND} | ({"listener": {"listenerFilter": name}} if name else {})
    found = world(patch("LISTENER_FILTER", operation, value, **match)).listeners["virtualInbound"].listener_filters
    assert [one.name.removeprefix("envoy.filters.listener.") for one in found] == expected


def hosts(given: Compiled, inbound: bool = False) -> dict[str, VirtualHost]:
    if not inbound:
        return {f"{name}/{host.name}": host for name, one in given.routes.items() for host in one.virtual_hosts}
    found = [one.route_config for name, one in every_manager(given).items() if "inbound|" in name]
    return {f"{one.name}/{host.name}": host for one in found for host in one.virtual_hosts}


MARK = {"request_headers_to_add": [{"header": {"key": "x-mark", "value": "1"}}]}
SHOP_HOST = "shop.default.svc.cluster.local:80"


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, {"80/allow_any", f"80/{SHOP_HOST}", "90/allow_any", "90/other.default.svc.cluster.local:90"}),
        ({"portNumber": 80}, {"80/allow_any", f"80/{SHOP_HOST}"}),
        ({"name": "80", "vhost": {"name": SHOP_HOST}}, {f"80/{SHOP_HOST}"}),
        ({"vhost": {"name": "allow_any"}, "portNumber": 90}, {"90/allow_any"}),
        ({"vhost": {"domainName": "shop.default"}}, {f"80/{SHOP_HOST}"}),
        ({"gateway": "default/edge"}, set()),
        ({"name": "no"}, set()),
    ],
)
def test_which_virtual_hosts_a_patch_is_for(match: dict[str, Any], expected: set[str]) -> None:
    given = world(patch("VIRTUAL_HOST", "MERGE", MARK, context=OUTBOUND, routeConfiguration=match))
    assert {name for name, host in hosts(given).items() if host.request_headers_to_add} == expected


def test_a_forward_proxy_has_the_hosts_of_all_ports() -> None:
    match = {"portNumber": 80}
    given = world(patch("VIRTUAL_HOST", "MERGE", MARK, context=OUTBOUND, routeConfiguration=match), capture="explicit")
    changed = {name for name, host in hosts(given).items() if host.request_headers_to_add}
    assert changed == {f"http_proxy/{SHOP_HOST}", f"{SHOP_HOST}/{SHOP_HOST}"}


@pytest.mark.parametrize("capture", CAPTURES)
def test_the_routes_before_the_application_stand_in_its_listener(capture: str) -> None:
    match = {"vhost": {"name": "inbound|http|80", "route": {"action": "ANY"}}}
    value = {
        "typed_per_filter_config": {
            "lua": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", "disabled": True}
        }
    }
    given = world(
        patch("HTTP_ROUTE", "MERGE", value, context=INBOUND, routeConfiguration=match),
        patch("ROUTE_CONFIGURATION", "MERGE", MARK, context=INBOUND, routeConfiguration={"name": "inbound|8080||"}),
        capture=capture,
    )
    changed = {
        name.rpartition("/")[2]
        for name, host in hosts(given, inbound=True).items()
        if host.routes[0].typed_per_filter_config
    }
    assert changed == {"inbound|http|80"}
    configs = [one.route_config for name, one in every_manager(given).items() if "inbound|8080" in name]
    assert configs
    assert all(one.request_headers_to_add for one in configs)


RULE = virtual_service(
    "shop",
    {"match": [{"uri": {"prefix": "/old"}}], "name": "old", "redirect": {"uri": "/new"}},
    to("shop", name="main"),
)
ROUTE_VALUE = {"name": "+", "match": {"prefix": "/plus"}, "direct_response": {"status": 200}}


@pytest.mark.parametrize(
    ("operation", "route", "expected"),
    [
        ("ADD", {}, ["old", "main", "+"]),
        ("INSERT_FIRST", {}, ["+", "old", "main"]),
        ("INSERT_FIRST", {"name": "main"}, ["+", "old", "main"]),
        ("INSERT_FIRST", {"name": "none"}, ["old", "main"]),
        ("INSERT_BEFORE", {"name": "main"}, ["old", "+", "main"]),
        ("INSERT_AFTER", {"name": "old"}, ["old", "+", "main"]),
        ("INSERT_AFTER", {}, ["old", "main", "+"]),
        ("REMOVE", {"action": "REDIRECT"}, ["main"]),
        ("REMOVE", {"action": "ROUTE"}, ["old"]),
        ("REMOVE", {"name": "old", "action": "DIRECT_RESPONSE"}, ["old", "main"]),
    ],
)
def test_where_routes_go(operation: str, route: dict[str, Any], expected: list[str]) -> None:
    match = {"vhost": {"name": SHOP_HOST} | ({"route": route} if route else {})}
    value = None if operation == "REMOVE" else ROUTE_VALUE
    made = envoy_filter("it", patch("HTTP_ROUTE", operation, value, context=OUTBOUND, routeConfiguration=match))
    given = compiled(*WORLD, RULE, made, proxy="shop-0.default")
    assert [one.name for one in given.routes_of("80", SHOP_HOST)] == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("ADD", {"allow_any", SHOP_HOST, "+"}), ("REPLACE", {"allow_any", "+"}), ("REMOVE", {"allow_any"})],
)
def test_virtual_hosts_come_and_go(operation: str, expected: set[str]) -> None:
    match = {"name": "80"} | ({} if operation == "ADD" else {"vhost": {"name": SHOP_HOST}})
    value = None if operation == "REMOVE" else {"name": "+", "domains": ["plus"], "routes": [ROUTE_VALUE]}
    given = world(patch("VIRTUAL_HOST", operation, value, context=OUTBOUND, routeConfiguration=match))
    assert given.hosts("80").keys() == expected


def test_extensions_come_by_themselves() -> None:
    value = {"name": "my-lua", "typed_config": LUA["typed_config"]}
    given = world(patch("EXTENSION_CONFIG", "ADD", value))
    assert given.filters["my-lua"].typed_config.type_url.endswith("Lua")


def order(*filters: str) -> list[str]:
    given = compiled(*WORLD, *filters, proxy="shop-0.default")
    return [name for name in filter_names(given)["inbound|8080||;"] if name != ROUTER]


def adding(name: str, namespace: str = "default", **spec: Any) -> str:
    return envoy_filter(name, patch("HTTP_FILTER", "ADD", named(name), context=INBOUND), namespace=namespace, **spec)


@pytest.mark.trap(42)
def test_envoyfilter_ordering_is_priority_before_namespace() -> None:
    assert order(adding("own"), adding("root", "istio-system")) == ["root", "own"]
    assert order(adding("own", priority=-1), adding("root", "istio-system")) == ["own", "root"]
    assert order(adding("z"), adding("a")) == ["z", "a"]  # the older first
    assert order(adding("elsewhere", "other")) == []
    assert order(adding("picked", workloadSelector={"labels": {"version": "v1"}})) == ["picked"]
    assert order(adding("not", workloadSelector={"labels": {"version": "v2"}})) == []
    assert order(adding("root", "istio-system", workloadSelector={"labels": {"app": "shop"}})) == ["root"]


def test_envoyfilter_proxy_version_never_matches_a_proxy_without_one() -> None:
    assert _cluster_changes({"proxy": {"proxyVersion": ".*"}}) == set()


@pytest.mark.parametrize(("version", "matches"), [(r"^1\.2.*", True), (r"29", True), (r"^29", False), ("", True)])
def test_a_version_is_found_anywhere_in_what_a_proxy_config_says(version: str, matches: bool) -> None:
    said = proxy_config("it", environmentVariables={"ISTIO_META_ISTIO_VERSION": "1.29.0"})
    made = envoy_filter("it", patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}, proxy={"proxyVersion": version}))
    given = compiled(*WORLD, said, made, proxy="shop-0.default")
    assert (given.clusters[SHOP_80].connect_timeout.seconds == 7) == matches


@pytest.mark.parametrize(
    ("metadata", "matches"),
    [
        ({"NAMESPACE": "default"}, True),
        ({"WORKLOAD_NAME": "shop", "INTERCEPTION_MODE": "REDIRECT"}, True),
        ({"TRUST_DOMAIN": "cluster.local"}, True),
        ({"TRUST_DOMAIN": "other"}, False),
        ({"NAMESPACE": "other"}, False),
        ({"NO_SUCH": ""}, False),
    ],
)
def test_a_proxy_is_matched_by_what_it_says_of_itself(metadata: dict[str, str], matches: bool) -> None:
    assert bool(_cluster_changes({"proxy": {"metadata": metadata}})) == matches


@pytest.mark.parametrize(
    ("match", "alike"),
    [({}, True), ({"metadata": {"NAMESPACE": "default"}}, True), ({"metadata": {"NAME": "a"}}, False)],
)
def test_replicas_share_what_is_selected_unless_a_patch_tells_them_apart(match: dict[str, Any], alike: bool) -> None:
    one = patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}, **({"proxy": match} if match else {}))
    given = snapshot_of(read(*WORLD, workload("many", replicas=3), envoy_filter("it", one)), "transparent")
    selection = Selection()
    for proxy in given.proxies.values():
        selection.patches(given, Subject(proxy.instances[0]))
    assert (len(selection._made) == 3) == alike


def snapshot(*texts: str) -> Snapshot:
    return snapshot_of(read(*WORLD, *texts), "transparent")


def test_nothing_that_has_not_changed_is_made_anew() -> None:
    patches = [
        patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}),
        patch("HTTP_FILTER", "ADD", LUA, context=OUTBOUND),
        patch("VIRTUAL_HOST", "MERGE", MARK, context=OUTBOUND),
    ]
    compiler, made = Compiler(), envoy_filter("it", *patches)
    one = all_proxies(compiler, snapshot(made))["shop-0.default"]
    again = all_proxies(compiler, snapshot(made))["shop-0.default"]
    assert all(one[type_url] is again[type_url] for type_url in (CLUSTER, LISTENER, ROUTES, FILTERS))
    routed = all_proxies(compiler, snapshot(made, RULE))["shop-0.default"]
    assert routed[CLUSTER] is one[CLUSTER]
    assert routed[LISTENER] is one[LISTENER]
    assert routed[ROUTES] != one[ROUTES]
    assert routed[ROUTES]["90"] is one[ROUTES]["90"]
    # A compiler that has just started says the same.
    fresh = all_proxies(Compiler(), snapshot(made, RULE))["shop-0.default"]
    assert fresh == routed
    gone = all_proxies(compiler, snapshot(RULE))["shop-0.default"]
    assert gone == all_proxies(Compiler(), snapshot(RULE))["shop-0.default"]


def test_who_asked_for_a_change_is_told_with_it() -> None:
    given = world(patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}, cluster={"name": SHOP_80}))
    it = Key("EnvoyFilter", "default", "it")
    assert it in given.resources[CLUSTER][SHOP_80].origins
    assert it not in given.resources[CLUSTER]["PassthroughCluster"].origins
