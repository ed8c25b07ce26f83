"""What EnvoyFilters may name in a proxy that serves several workloads: what is of their own seat, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tests.support.compiled import Compiled, compiled
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
