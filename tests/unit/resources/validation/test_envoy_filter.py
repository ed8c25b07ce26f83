from __future__ import annotations

from typing import Any

import pytest
from tests.support.written import envoy_filter, patch, typed

from mizzen.resources.loading import Loaded, load

MANAGER = "envoy.filters.network.http_connection_manager"
LUA = typed("lua", "http.lua.v3.Lua", default_source_code={"inline_string": ""})
CLUSTER = {"connect_timeout": "1s"}
PATCH = "spec.configPatches[0]"


def said(loaded: Loaded) -> list[str]:
    """Returns all that is said but Istio's warning about every EnvoyFilter."""
    return [f"{one.level}: {one.path}: {one.message}" for one in loaded.problems if one.path != "kind"]


def of(*patches: Any, **spec: Any) -> list[str]:
    return said(load(envoy_filter("it", *patches, **spec), "f"))


def at(filter_: dict[str, Any]) -> dict[str, Any]:
    return {"filterChain": {"filter": filter_}}


def test_every_one_is_warned_of() -> None:
    (problem,) = load(envoy_filter("it"), "f").problems
    assert (problem.code, problem.level) == ("IST0133", "warning")
    assert "exposes internal implementation details" in problem.message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"patch": {"operation": "REMOVE"}}, f"error: {PATCH}: Envoy filter: missing applyTo"),
        ({"applyTo": "CLUSTER"}, f"error: {PATCH}: Envoy filter: missing patch"),
        ({"applyTo": "CLUSTER", "patch": {}}, f"error: {PATCH}.patch: Envoy filter: missing patch operation"),
        (
            {"applyTo": "CLUSTER", "patch": {"operation": "MERGE"}},
            f"error: {PATCH}.patch: Envoy filter: missing patch value for non-remove operation",
        ),
        (
            patch("CLUSTER", "MERGE", CLUSTER, listener={}),
            f"error: {PATCH}.match.listener: Envoy filter: applyTo for cluster class objects cannot have non cluster match",
        ),
        (
            patch("HTTP_FILTER", "ADD", LUA, cluster={}),
            (
                f"error: {PATCH}.match.cluster: "
                "Envoy filter: applyTo for listener class objects cannot have non listener match"
            ),
        ),
        (
            patch("HTTP_ROUTE", "MERGE", {"name": "a"}, listener={}),
            (
                f"error: {PATCH}.match.listener: "
                "Envoy filter: applyTo for http route class objects cannot have non route configuration match"
            ),
        ),
        (
            patch("NETWORK_FILTER", "INSERT_FIRST", LUA, listener=at({})),
            f"error: {PATCH}.match.listener.filterChain.filter: Envoy filter: filter match has no name to match on",
        ),
        (
            patch("NETWORK_FILTER", "REMOVE", listener=at({"name": MANAGER, "subFilter": {"name": "a"}})),
            (
                f"error: {PATCH}.match.listener.filterChain.filter.subFilter: "
                "Envoy filter: subfilter match can be used with applyTo HTTP_FILTER only"
            ),
        ),
        (
            patch("HTTP_FILTER", "REMOVE", listener=at({"name": "a", "subFilter": {"name": "a"}})),
            (
                f"error: {PATCH}.match.listener.filterChain.filter.subFilter: "
                f"Envoy filter: subfilter match requires filter match with {MANAGER}"
            ),
        ),
        (
            patch("HTTP_FILTER", "INSERT_FIRST", LUA, listener=at({"name": MANAGER, "subFilter": {}})),
            (
                f"error: {PATCH}.match.listener.filterChain.filter.subFilter: "
                "Envoy filter: subfilter match has no name to match on"
            ),
        ),
        (
            patch("CLUSTER", "MERGE", CLUSTER, proxy={"proxyVersion": "("}),
            (
                f"error: {PATCH}.match.proxy.proxyVersion: Envoy filter: invalid regex for proxy version, [invalid regex: "
                "missing ): (; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)]"
            ),
        ),
        (
            patch("CLUSTER", "MERGE", CLUSTER, proxy={"proxyVersion": "a" * 1025}),
            (
                f"error: {PATCH}.match.proxy.proxyVersion: "
                "Envoy filter: invalid regex for proxy version, longer than 1024 characters"
            ),
        ),
        (
            patch("CLUSTER", "REPLACE", CLUSTER),
            f"error: {PATCH}.patch.operation: REPLACE has no effect on CLUSTER",
        ),
        (
            patch("ROUTE_CONFIGURATION", "REMOVE"),
            f"error: {PATCH}.patch.operation: REMOVE has no effect on ROUTE_CONFIGURATION",
        ),
        (
            patch("HTTP_FILTER", "REMOVE", listener=at({"name": MANAGER})),
            f"error: {PATCH}.match: REMOVE needs the name of the filter that it is for",
        ),
        (
            patch("HTTP_FILTER", "ADD", {"name": "envoy.lua"}),
            f"error: {PATCH}.patch.value: Envoy finds a filter by the type of its configuration, and there is none",
        ),
        (
            patch("NETWORK_FILTER", "REMOVE", listener=at({"name": "envoy.tcp_proxy"})),
            (
                f"warning: {PATCH}.match.listener.filterChain.filter.name: "
                'using deprecated filter name "envoy.tcp_proxy"; use "envoy.filters.network.tcp_proxy" instead'
            ),
        ),
        (
            patch("LISTENER", "MERGE", {"name": "a"}, listener=at({"name": "a"})),
            (
                f"warning: {PATCH}.match.listener.filterChain.filter: "
                "Envoy filter: filter match has no effect when used with LISTENER"
            ),
        ),
        (
            {"applyTo": "CLUSTER", "patch": {"operation": "REMOVE", "value": {"a": 1}}},
            f"warning: {PATCH}.patch.value: a value has no effect with REMOVE",
        ),
        (
            {"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": CLUSTER, "filterClass": "AUTHN"}},
            f"warning: {PATCH}.patch.filterClass: filterClass has an effect with ADD of an HTTP_FILTER alone",
        ),
    ],
)
def test_istios_rules(written: dict[str, Any], expected: str) -> None:
    assert of(written) == [expected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"labels": {"app": "a"}}, []),
        (
            {},
            [
                (
                    "warning: spec.workloadSelector: Envoy filter: workload selector specified without labels, "
                    "will be applied to all services in namespace"
                )
            ],
        ),
        ({"labels": {"": "a"}}, ["error: spec.workloadSelector.labels[]: empty key is not supported in selector"]),
        ({"labels": {"app": "a*"}}, ["error: spec.workloadSelector.labels.app: wildcard is not supported in selector"]),
    ],
)
def test_selectors(selector: dict[str, Any], expected: list[str]) -> None:
    assert of(workloadSelector=selector) == expected


@pytest.mark.parametrize(
    ("target", "operation", "value", "expected"),
    [
        ("CLUSTER", "MERGE", {"connectTimeout": "1s"}, []),
        (
            "CLUSTER",
            "MERGE",
            {"connect_timeout": "1s", "connectTimeout": "1s"},
            ["error: .connectTimeout: `connect_timeout` is written twice"],
        ),
        ("CLUSTER", "MERGE", {"connect_timeout": None}, []),
        ("CLUSTER", "MERGE", {"nme": "a"}, ["error: .nme: envoy.config.cluster.v3.Cluster has no field `nme`"]),
        (
            "CLUSTER",
            "MERGE",
            {"connect_timeout": 5},
            ['error: .connect_timeout: must be a duration in seconds such as "5s" or "0.25s", not 5'],
        ),
        (
            "CLUSTER",
            "MERGE",
            {"circuit_breakers": {"thresholds": [{"max_connections": "x"}]}},
            ["error: .circuit_breakers.thresholds[0].max_connections: must be a whole number, not 'x'"],
        ),
        (
            "CLUSTER",
            "MERGE",
            {"lb_policy": "NONE"},
            [
                (
                    "error: .lb_policy: must be one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, MAGLEV, "
                    "CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG, not 'NONE'"
                )
            ],
        ),
        ("CLUSTER", "ADD", {}, ["error: : envoy.config.cluster.v3.Cluster needs `name`"]),
        ("CLUSTER", "MERGE", {"name": "a", "load_assignment": {}}, []),
        (
            "VIRTUAL_HOST",
            "ADD",
            {"name": "a"},
            ["error: : envoy.config.route.v3.VirtualHost needs `domains`"],
        ),
        (
            "HTTP_ROUTE",
            "MERGE",
            {"match": {"prefix": "/", "path": "/"}},
            ["error: .match.path: `path` and `prefix` cannot be set together: keep one of them"],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            typed("a", "http.lua.v3.Lua", inlinecode=""),
            ["error: .typed_config.inlinecode: envoy.extensions.filters.http.lua.v3.Lua has no field `inlinecode`"],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            typed("a", "http.lua.v3.Lux"),
            [
                (
                    "error: .typed_config[@type]: referenced type unknown: "
                    "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lux (this Envoy has no such type)"
                )
            ],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            {"name": "a", "typed_config": {"@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua"}},
            [
                (
                    "error: .typed_config[@type]: referenced type unknown: "
                    "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua (use the API of version 3)"
                )
            ],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            {"name": "a", "typed_config": {"inline_code": ""}},
            ['error: .typed_config: needs a `"@type"`, which names the type of what stands here'],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            typed("a", "http.local_ratelimit.v3.LocalRateLimit", stat_prefix="", token_bucket={"fill_interval": "0s"}),
            [
                "error: .typed_config.stat_prefix: must not be empty",
                "error: .typed_config.token_bucket.fill_interval: must be greater than 0s",
            ],
        ),
        (
            "HTTP_FILTER",
            "ADD",
            {
                "name": "a",
                "typed_config": {
                    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                    "type_url": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "value": {"inlinecode": ""},
                },
            },
            [
                (
                    "error: .typed_config.value.inlinecode: "
                    "envoy.extensions.filters.http.lua.v3.Lua has no field `inlinecode`"
                )
            ],
        ),
        (
            "HTTP_FILTER",
            "MERGE",
            typed("a", "http.lua.v3.Lua", inline_code="x"),
            ["warning: .typed_config.inline_code: `inline_code` is deprecated in Envoy"],
        ),
        (
            "LISTENER",
            "MERGE",
            {"listener_filters": {}},
            ["error: .listener_filters: must be a list of messages envoy.config.listener.v3.ListenerFilter"],
        ),
        (
            "CLUSTER",
            "MERGE",
            {"metadata": 5},
            [
                "error: .metadata: must be a mapping with fields of envoy.config.core.v3.Metadata: `filter_metadata`, `typed_filter_metadata`"
            ],
        ),
    ],
)
def test_values_are_what_envoy_takes(target: str, operation: str, value: dict[str, Any], expected: list[str]) -> None:
    where = f"{PATCH}.patch.value"
    assert [one.replace(where, "") for one in of(patch(target, operation, value))] == expected


def test_a_mistake_is_told_with_its_line_and_what_was_meant() -> None:
    text = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: it}
spec:
  configPatches:
  - applyTo: CLUSTER
    patch:
      operation: MERGE
      value:
        connect_timeot: 1s
        circuit_breakers:
          thresholds:
          - priority: HIHG
"""
    found = {one.position.line: one for one in load(text, "f").problems if one.position and one.path != "kind"}
    assert {line: one.hint for line, one in found.items()} == {
        10: "did you mean `connect_timeout`?",
        13: "did you mean `HIGH`?",
    }
    assert found[10].code == "UnknownField"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"targetRefs": [{"kind": "Gateway", "name": "a"}]}, "spec.targetRefs"),
        ({"configPatches": [patch("CLUSTER", "MERGE", CLUSTER, context="WAYPOINT")]}, f"{PATCH}.match.context"),
        ({"configPatches": [patch("CLUSTER", "MERGE", CLUSTER, waypoint={})]}, f"{PATCH}.match.waypoint"),
        (
            {"configPatches": [patch("LISTENER", "REMOVE", listener={"portName": "http"})]},
            f"{PATCH}.match.listener.portName",
        ),
    ],
)
def test_what_is_not_implemented_is_refused(spec: dict[str, Any], path: str) -> None:
    found = load(envoy_filter("it", **spec), "f").problems
    assert [one.path for one in found if one.code == "NotImplemented"] == [path]


OWN = "is Mizzen's own: whoever reaches it could ask for the keys and the configuration of others"
BEHIND = {"envoy_grpc": {"cluster_name": "sds-grpc"}}
SOURCE = {"api_config_source": {"api_type": "GRPC", "grpc_services": [BEHIND]}}
SDS = {"name": "default", "sds_config": SOURCE}
CONTEXT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@pytest.mark.parametrize(
    ("target", "value", "refused"),
    [
        ("HTTP_ROUTE", {"route": {"cluster": "sds-grpc"}}, True),
        ("HTTP_ROUTE", {"route": {"weighted_clusters": {"clusters": [{"name": "xds-grpc", "weight": 1}]}}}, True),
        (
            "HTTP_FILTER",
            {
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                    "grpc_service": BEHIND,
                }
            },
            True,
        ),
        (
            "CLUSTER",
            {
                "transport_socket": {
                    "name": "tls",
                    "typed_config": {
                        "@type": CONTEXT,
                        "common_tls_context": {"tls_certificate_sds_secret_configs": [SDS]},
                    },
                }
            },
            False,
        ),
    ],
)
def test_nobody_reaches_what_holds_the_keys(target: str, value: dict[str, Any], refused: bool) -> None:
    found = of(patch(target, "MERGE", value))
    assert any(OWN in one for one in found) is refused
    assert refused or not found, found
