"""What EnvoyFilters may name in a proxy that serves several workloads: what is of their own seat, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tests.support.compiled import Compiled, compiled, managers
from tests.support.worlds import NODE_PROXY, read, snapshot_of
from tests.support.written import envoy_filter, patch, service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.patches.idle import idle_patches
from mizzen.compile.seats import ALONE, Seat
from mizzen.envoy_api.types import new, of_url
from mizzen.resources.problems import Problem
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig

WORLD = (
    service("shop", ("http", 80)),
    service("bank", ("http", 80), namespace="other"),
    workload("shop", ("http", 80)),
    workload("bank", ("http", 80), namespace="other"),
)
IDENTITY, OTHERS = (f"spiffe://cluster.local/ns/{namespace}/sa/default" for namespace in ("default", "other"))
OWN = "shop-0.default/"
SOURCE: dict[str, Any] = {"ads": {}}
SHARED = {"ROOTCA", "file-root:system"}
MANAGER = "envoy.filters.network.http_connection_manager"
BEFORE_ROUTER = {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}}}
TLS = "transport_sockets.tls.v3.UpstreamTlsContext"
STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"
# What an attacker would name: other identities, Secrets of other namespaces and seats, under every form of their names.
WANTED = (
    OTHERS,
    "kubernetes://bank",
    "kubernetes://other/bank",
    "bank-0.other/kubernetes://bank",
    "bank-0.other/file-cert:/etc/bank.pem~/etc/bank.key",
    "file-cert:/etc/bank.pem~/etc/bank.key",
    "../bank-0.other/kubernetes://bank",
)


def typed(name: str, type_name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{type_name}", **config}}


def secret(name: str, *, whole: bool = True) -> dict[str, Any]:
    return {"name": name, **({"sds_config": SOURCE} if whole else {})}


def added_cluster(name: str) -> list[dict[str, Any]]:
    socket = typed("tls", TLS, common_tls_context={"tls_certificate_sds_secret_configs": [secret(name)]})
    return [patch("CLUSTER", "ADD", {"name": "mine", "connect_timeout": "1s", "transport_socket": socket})]


def merged_name(name: str) -> list[dict[str, Any]]:
    """The name alone, merged into a secret that has its source already."""
    context = {"combined_validation_context": {"validation_context_sds_secret_config": secret(name, whole=False)}}
    return [
        patch(
            "CLUSTER",
            "MERGE",
            {"transport_socket": typed("envoy.transport_sockets.tls", TLS, common_tls_context=context)},
        )
    ]


def merged_into_own_filter(name: str) -> list[dict[str, Any]]:
    """A field that does not say in its name that it holds a secret."""
    kind = "http.injected_credentials.generic.v3.Generic"

    def injector(one: Mapping[str, Any]) -> dict[str, Any]:
        inner = typed("envoy.http.injected_credentials.generic", kind, credential=one)
        return typed("inject", "filters.http.credential_injector.v3.CredentialInjector", credential=inner)

    return [
        patch("HTTP_FILTER", "INSERT_BEFORE", injector(secret("kubernetes://mine")), listener=BEFORE_ROUTER),
        patch(
            "HTTP_FILTER",
            "MERGE",
            injector(secret(name, whole=False)),
            listener={"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "inject"}}}},
        ),
    ]


def untyped(name: str) -> list[dict[str, Any]]:
    value = {"common_tls_context": {"tlsCertificateSdsSecretConfigs": [{"name": name, "sdsConfig": SOURCE}]}}
    url = f"type.googleapis.com/envoy.extensions.{TLS}"
    socket = {"name": "tls", "typed_config": {"@type": STRUCT, "type_url": url, "value": value}}
    return [patch("CLUSTER", "ADD", {"name": "mine", "connect_timeout": "1s", "transport_socket": socket})]


def of_a_match(name: str) -> list[dict[str, Any]]:
    """Deep in lists and mappings: in a socket for some endpoints."""
    socket = typed("tls", TLS, common_tls_context={"validation_context_sds_secret_config": secret(name)})
    value = {
        "name": "mine",
        "connect_timeout": "1s",
        "transport_socket_matches": [{"name": "a", "transport_socket": socket}],
    }
    return [patch("CLUSTER", "ADD", value)]


def at_shop(*patches: Mapping[str, Any]) -> str:
    return envoy_filter("it", *patches, workloadSelector={"labels": {"app": "shop"}})


def world(*patches: Mapping[str, Any]) -> Compiled:
    return compiled(*WORLD, at_shop(*patches), proxy=NODE_PROXY, capture="node")


def secrets_in(given: Compiled) -> set[str]:
    """The names of all secrets in what is of the shop's seat or was added: by their types, and in what has none by the field."""
    return {
        name
        for named in given.resources.values()
        for one, resource in named.items()
        if not one.startswith("bank-0.other/")
        for name in _secrets(_message_of(given, one, resource))
    }


def _message_of(given: Compiled, name: str, resource: Any) -> Message:
    (url,) = [url for url, named in given.resources.items() if named.get(name) is resource]
    descriptor = of_url(url)
    assert descriptor
    message = new(descriptor)
    message.ParseFromString(resource.body)
    return message


def _secrets(message: Message) -> Iterator[str]:
    if isinstance(message, SdsSecretConfig):
        yield message.name
    elif isinstance(message, AnyMessage):
        if descriptor := of_url(message.type_url):
            held = new(descriptor)
            held.ParseFromString(message.value)
            yield from _secrets(held)
    elif isinstance(message, Struct):
        yield from _named(MessageToDict(message))
    else:
        for field, value in message.ListFields():
            if field.message_type:
                is_map = field.message_type.GetOptions().map_entry
                several = value.values() if is_map else value if field.is_repeated else [value]
                yield from (name for one in several if isinstance(one, Message) for name in _secrets(one))


def _named(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "sds_config" in value or "sdsConfig" in value:
            yield str(value["name"])
        yield from (name for inner in value.values() for name in _named(inner))
    elif isinstance(value, list):
        yield from (name for inner in value for name in _named(inner))


WAYS = [added_cluster, merged_name, merged_into_own_filter, untyped, of_a_match]


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("way", WAYS)
def test_no_patch_names_a_secret_of_another_seat(way: Any, name: str) -> None:
    found = secrets_in(world(*way(name)))
    assert IDENTITY in found, "what the mesh itself names"
    assert {one for one in found if not one.startswith(OWN)} <= {IDENTITY, *SHARED}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_patch_calls_as_at_a_sidecar_is_that_of_its_seat(way: Any) -> None:
    assert f"{OWN}kubernetes://client" in secrets_in(world(*way("kubernetes://client")))
    sidecar = compiled(*WORLD, at_shop(*way("kubernetes://client")), proxy="shop-0.default", capture="transparent")
    assert "kubernetes://client" in secrets_in(sidecar)


@pytest.mark.parametrize(
    ("name", "alone", "seated"),
    [
        ("default", "default", IDENTITY),
        ("ROOTCA", "ROOTCA", "ROOTCA"),
        ("file-root:system", "file-root:system", "file-root:system"),
        ("kubernetes://a", "kubernetes://a", f"{OWN}kubernetes://a"),
        (IDENTITY, IDENTITY, f"{OWN}{IDENTITY}"),
    ],
)
def test_names_of_secrets(name: str, alone: str, seated: str) -> None:
    assert ALONE.secret_named(name) == alone
    assert Seat(prefix=OWN, secret=IDENTITY).secret_named(name) == seated


def route(**fields: Any) -> dict[str, Any]:
    value = {"name": "mine", "match": {"prefix": "/mine"}, "route": fields}
    return patch("HTTP_ROUTE", "INSERT_FIRST", value, context="SIDECAR_OUTBOUND")


ON_DEMAND = {
    "custom_tls_certificate_selector": typed(
        "on-demand",
        "transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config",
        config_source=SOURCE,
        certificate_mapper=typed("sni", "transport_sockets.tls.cert_mappers.sni.v3.SNI", default_value="a"),
    )
}
TRESPASSING = [
    (route(cluster="bank-0.other/outbound|80||bank.other.svc.cluster.local"), "is of one seat in it"),
    (
        route(weighted_clusters={"clusters": [{"name": "bank-0.other/inbound|80||", "weight": 1}]}),
        "is of one seat in it",
    ),
    (route(cluster_header="x-cluster"), "`cluster_header` would let callers choose"),
    (
        patch(
            "CLUSTER",
            "ADD",
            {
                "name": "mine",
                "connect_timeout": "1s",
                "transport_socket": typed("tls", TLS, common_tls_context=ON_DEMAND),
            },
        ),
        "certificates by names that callers give",
    ),
]


def told(text: str, capture: str) -> list[Problem]:
    return list(idle_patches(Compiler(), snapshot_of(read(*WORLD, text), capture)))


@pytest.mark.parametrize(("written", "why"), TRESPASSING)
def test_what_reaches_other_seats_is_kept_out_and_told(written: dict[str, Any], why: str) -> None:
    assert world(written).resources == compiled(*WORLD, proxy=NODE_PROXY, capture="node").resources
    (problem,) = told(at_shop(written), "node")
    assert (problem.code, problem.path) == ("NotAtSeats", "spec.configPatches[0].patch.value")
    assert problem.message.startswith(
        "this patch is not for shop-0.default, which have a seat in the proxy of their node: "
    )
    assert why in problem.message
    assert told(at_shop(written), "transparent") == []


@pytest.mark.parametrize(
    "text",
    [
        "type.googleapis.com/envoy.config.v3.X",
        "application/json",
        "http://a.example/outbound|",
        "a.b/c",
        "outbound|80||a.b",
    ],
)
def test_other_texts_with_slashes_are_let_through(text: str) -> None:
    headers = [{"header": {"key": "a", "value": text}}]
    written = patch("HTTP_ROUTE", "MERGE", {"request_headers_to_add": headers}, context="SIDECAR_OUTBOUND")
    assert told(at_shop(written), "node") == []


def cluster(address: str = "192.0.2.1", **fields: Any) -> dict[str, Any]:
    socket = {"socket_address": {"address": address, "port_value": 80}}
    assigned = {"cluster_name": "ext", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}]}
    return {"name": "ext", "type": "STATIC", "connect_timeout": "1s", "load_assignment": assigned, **fields}


def in_both(*patches: Mapping[str, Any]) -> Compiled:
    """The same patches in both namespaces, and an address for the cluster of each."""
    texts = [
        envoy_filter("it", patch("CLUSTER", "ADD", cluster(address)), *patches, namespace=namespace)
        for namespace, address in (("default", "192.0.2.1"), ("other", "192.0.2.2"))
    ]
    return compiled(*WORLD, *texts, proxy=NODE_PROXY, capture="node")


def test_two_namespaces_add_clusters_of_one_name_and_each_has_its_own() -> None:
    given = in_both()
    found = {name: one for name, one in given.clusters.items() if name.endswith("ext")}
    addresses = {
        name: one.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address
        for name, one in found.items()
    }
    assert addresses == {"shop-0.default/ext": "192.0.2.1", "bank-0.other/ext": "192.0.2.2"}
    assert {name: one.name for name, one in found.items()} == {name: name for name in found}
    source = found["shop-0.default/ext"].upstream_bind_config.source_address
    assert (source.address, source.network_namespace_filepath) == ("0.0.0.0", "/run/netns/shop-0")


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, ("0.0.0.0", "/run/netns/shop-0")),
        ({"upstream_bind_config": {"source_address": {"address": "192.0.2.9", "port_value": 0}}}, ("192.0.2.9", "")),
        (
            {
                "load_assignment": {
                    "cluster_name": "ext",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/a"}}}}]}],
                }
            },
            ("", ""),
        ),
    ],
)
def test_an_added_cluster_connects_where_the_workload_is(fields: dict[str, Any], source: tuple[str, str]) -> None:
    given = world(patch("CLUSTER", "ADD", cluster(**fields)))
    bound = given.clusters["shop-0.default/ext"].upstream_bind_config.source_address
    assert (bound.address, bound.network_namespace_filepath) == source
    given = world(patch("CLUSTER", "ADD", cluster("2001:db8::1")))
    assert given.clusters["shop-0.default/ext"].upstream_bind_config.source_address.address == "::"


HTTP = "filters.http."
REFERRING: list[dict[str, Any]] = [
    route(cluster="ext"),
    route(weighted_clusters={"clusters": [{"name": "ext", "weight": 1}]}),
    route(cluster="outbound|80||shop.default.svc.cluster.local", request_mirror_policies=[{"cluster": "ext"}]),
    patch(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        typed("a", f"{HTTP}ext_authz.v3.ExtAuthz", grpc_service={"envoy_grpc": {"cluster_name": "ext"}}),
        listener=BEFORE_ROUTER,
    ),
    patch(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        typed(
            "a",
            f"{HTTP}ext_authz.v3.ExtAuthz",
            http_service={"server_uri": {"uri": "http://a", "cluster": "ext", "timeout": "1s"}},
        ),
        listener=BEFORE_ROUTER,
    ),
    patch(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        typed("a", f"{HTTP}lua.v3.Lua", default_source_code={"inline_string": "handle:httpCall('ext', {}, '', 5)"}),
        listener=BEFORE_ROUTER,
    ),
    patch(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        {
            "name": "a",
            "typed_config": {
                "@type": STRUCT,
                "type_url": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "value": {"grpcService": {"envoyGrpc": {"clusterName": "ext"}}},
            },
        },
        listener=BEFORE_ROUTER,
    ),
]


@pytest.mark.parametrize("referring", REFERRING)
def test_what_leads_to_an_added_cluster_leads_to_that_of_its_seat(referring: dict[str, Any]) -> None:
    given = in_both(referring)
    for seat, other in (("shop-0.default/", "bank-0.other/"), ("bank-0.other/", "shop-0.default/")):
        own = {
            name: one.body
            for named in given.resources.values()
            for name, one in named.items()
            if name.startswith(seat) and not name.endswith("/ext")
        }
        assert any(f"{seat}ext".encode() in body for body in own.values())
        assert not any(f"{other}ext".encode() in body for body in own.values())


def test_texts_that_are_no_names_of_clusters_stay() -> None:
    headers = [{"header": {"key": "ext", "value": "ext"}}]
    merged = patch("HTTP_ROUTE", "MERGE", {"request_headers_to_add": headers}, context="SIDECAR_OUTBOUND")
    given = in_both(merged)
    added = given.routes["shop-0.default/80"].virtual_hosts[0].routes[0].request_headers_to_add[0]
    assert (added.header.key, added.header.value) == ("ext", "ext")


def test_a_name_of_which_there_is_no_cluster_at_the_seat_stays() -> None:
    given = world(route(cluster="ext"))
    (first, *_) = given.routes["shop-0.default/80"].virtual_hosts[0].routes
    assert first.route.cluster == "ext"
    compiler, texts = Compiler(), at_shop(route(cluster="ext"))
    adding = envoy_filter("adding", patch("CLUSTER", "ADD", cluster()))

    def leads_to(*filters: str) -> str:
        snapshot = snapshot_of(read(*WORLD, texts, *filters), "node")
        made = Compiled(compiler.compile(snapshot.proxies[NODE_PROXY], snapshot))
        return made.routes["shop-0.default/80"].virtual_hosts[0].routes[0].route.cluster

    assert [leads_to(), leads_to(adding), leads_to()] == ["ext", "shop-0.default/ext", "ext"]


def test_what_is_added_in_the_place_of_the_meshs_own_stays_out() -> None:
    name = "outbound|80||shop.default.svc.cluster.local"
    given = world(patch("CLUSTER", "ADD", cluster(name=name)))
    assert given.clusters == compiled(*WORLD, proxy=NODE_PROXY, capture="node").clusters


def test_extensions_of_one_name_are_those_of_their_seats_and_found_by_their_name() -> None:
    lua = "filters.http.lua.v3.Lua"
    url = f"type.googleapis.com/envoy.extensions.{lua}"
    discovery = {"config_source": {"ads": {}}, "type_urls": [url]}
    at_mine = {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "mine"}}}}
    per_route = {"mine": {"@type": f"{url}PerRoute", "disabled": True}}
    given = in_both(
        patch("EXTENSION_CONFIG", "ADD", typed("mine", lua)),
        patch(
            "HTTP_FILTER",
            "INSERT_BEFORE",
            {"name": "mine", "config_discovery": discovery},
            context="SIDECAR_OUTBOUND",
            listener=BEFORE_ROUTER,
        ),
        patch("HTTP_FILTER", "INSERT_BEFORE", typed("before", lua), context="SIDECAR_OUTBOUND", listener=at_mine),
        patch("HTTP_ROUTE", "MERGE", {"typed_per_filter_config": per_route}, context="SIDECAR_OUTBOUND"),
    )
    for seat in ("shop-0.default/", "bank-0.other/"):
        assert f"{seat}mine" in given.filters
        chains = [managers(one) for name, one in given.listeners.items() if name == f"{seat}virtualOutbound"]
        names = [[one.name for one in manager.http_filters] for manager in chains[0]]
        assert names
        assert all(found[found.index(f"{seat}mine") - 1] == "before" for found in names)
        first = given.routes[f"{seat}80"].virtual_hosts[0].routes[0]
        assert list(first.typed_per_filter_config) == [f"{seat}mine"]
    assert "mine" not in given.filters


def test_a_name_that_there_is_at_a_proxy_already_is_told() -> None:
    texts = [envoy_filter(name, patch("CLUSTER", "ADD", cluster())) for name in ("first", "second")]
    for capture in ("transparent", "node"):
        found = list(idle_patches(Compiler(), snapshot_of(read(*WORLD, *texts), capture)))
        assert [(one.resource.name if one.resource else "", one.message) for one in found] == [
            ("second", "this patch changes nothing: shop-0.default have a CLUSTER ext already, or none for its context")
        ]
