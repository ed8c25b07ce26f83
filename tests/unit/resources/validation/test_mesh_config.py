from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import mesh_config

from mizzen.resources.loading import load
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.mesh_config_references import mesh_configs
from mizzen.resources.references import check_references


@pytest.mark.trap(20)
def looked_up(**tls: Any) -> dict[str, Any]:
    return {"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS", "tls": tls}}


@pytest.mark.parametrize(
    ("spec", "registry_only", "problems"),
    [
        ({}, False, []),
        ({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}, False, []),
        ({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}, True, []),
        ({"outboundTrafficPolicy": {}}, True, ["warning spec.outboundTrafficPolicy"]),
    ],
)
def test_a_policy_without_a_mode_is_the_strict_one(
    spec: dict[str, Any], registry_only: bool, problems: list[str]
) -> None:
    loaded = load(mesh_config(**spec), "f")
    (one,) = loaded.resources
    assert isinstance(one.spec, MeshConfigSpec)
    assert one.spec.registry_only == registry_only
    assert [f"{problem.level} {problem.path}" for problem in loaded.problems] == problems


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"trustDomain": "example.org"}, "spec.trustDomain"),
        ({"meshMTLS": {"minProtocolVersion": "TLSV1_3"}}, "spec.meshMTLS"),
        ({"defaultConfig": {"concurrency": 2}}, "spec.defaultConfig"),
    ],
)
def test_what_else_istio_has_is_refused_by_name(spec: dict[str, Any], path: str) -> None:
    (problem,) = load(mesh_config(**spec), "f").problems
    assert (problem.code, problem.path) == ("NotImplemented", path)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"connectTimeout": "2h"}, ["error spec.connectTimeout"]),
        ({"connectTimeout": "100us"}, ["error spec.connectTimeout"]),
        ({"rootNamespace": "Not One"}, ["error spec.rootNamespace"]),
        ({"tcpKeepalive": {"probes": -1}}, ["error spec.tcpKeepalive.probes"]),
        ({"dnsRefreshRate": "0s"}, ["error spec.dnsRefreshRate"]),
        ({"defaultHttpRetryPolicy": {"attempts": 0}}, []),
        (
            {"defaultHttpRetryPolicy": {"attempts": 1, "retryOn": "5xx, reset"}},
            ["error spec.defaultHttpRetryPolicy.retryOn", "warning spec.defaultHttpRetryPolicy.retryOn"],
        ),
        (
            {"defaultInboundHttpRetryPolicy": {"attempts": 1, "retryOn": "reset"}},
            ["warning spec.defaultInboundHttpRetryPolicy.retryOn"],
        ),
        (
            {"defaultInboundHttpRetryPolicy": {"attempts": 1, "retryIgnorePreviousHosts": True}},
            ["error spec.defaultInboundHttpRetryPolicy.retryIgnorePreviousHosts"],
        ),
        ({"defaultTrafficPolicy": {"connectionPool": {}}}, ["error spec.defaultTrafficPolicy.connectionPool"]),
        (
            {"defaultTrafficPolicy": {"outlierDetection": {"maxEjectionPercent": 101}}},
            ["error spec.defaultTrafficPolicy.outlierDetection.maxEjectionPercent"],
        ),
        (looked_up(mode="SIMPLE"), []),
        ({"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "tls": {}}}, ["error spec.outboundTrafficPolicy.tls"]),
        (looked_up(mode="MUTUAL"), ["error spec.outboundTrafficPolicy.tls"] * 2),
        (looked_up(mode="SIMPLE", caCertificates="ca"), ["error spec.outboundTrafficPolicy.tls.caCertificates"]),
        (looked_up(mode="ISTIO_MUTUAL"), ["error spec.outboundTrafficPolicy.tls.mode"]),
        (looked_up(mode="SIMPLE", credentialName="a"), ["error spec.outboundTrafficPolicy.tls.credentialName"]),
        ({"defaultServiceExportTo": ["*", "a"]}, ["error spec.defaultServiceExportTo"]),
        ({"defaultVirtualServiceExportTo": ["A!"]}, ["error spec.defaultVirtualServiceExportTo[0]"]),
        ({"defaultDestinationRuleExportTo": ["a"]}, ["error spec.defaultDestinationRuleExportTo[0]"]),
        (
            {"localityLbSetting": {"distribute": [{"from": "*", "to": {"a": 50}}]}},
            ["error spec.localityLbSetting.distribute[0].to"],
        ),
    ],
)
def test_rules_of_a_mesh_config(spec: dict[str, Any], expected: list[str]) -> None:
    problems = load(mesh_config(**spec), "f").problems
    assert [f"{problem.level} {problem.path}" for problem in problems] == expected


def test_what_is_refused_says_what_to_do_instead() -> None:
    (problem,) = load(mesh_config(protocolDetectionTimeout="1s"), "f").problems
    assert problem.hint == (
        "remove it: proxies wait 1 s everywhere, then take the connection for one of bytes (decision 16)"
    )
    assert problem.message.startswith("`protocolDetectionTimeout` is part of Istio's API but not implemented yet")
    (problem,) = load(mesh_config(defaultConfig={"concurrency": 2}), "f").problems
    assert problem.hint.startswith("write a ProxyConfig in the root namespace")


def test_a_mesh_has_one() -> None:
    resources = read(mesh_config("b"), mesh_config("a"))
    (problem,) = check_references(resources)
    assert (problem.code, str(problem.resource)) == ("SeveralMeshConfigs", "MeshConfig default/a")
    assert mesh_configs(resources)[0].name == "b"


@pytest.mark.trap(41)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("defaultConfig", {"proxyMetadata": {"A": "b"}}),
        ("extensionProviders", [{"name": "a"}]),
        ("trustDomainAliases", ["old.example"]),
    ],
)
def test_fields_that_istio_merges_instead_of_replacing_are_refused(field: str, value: Any) -> None:
    (problem,) = load(mesh_config(**{field: value}), "f").problems
    assert (problem.level, problem.code, problem.path) == ("error", "NotImplemented", f"spec.{field}")


@pytest.mark.trap(41)
def test_a_mesh_config_is_written_anew_as_a_whole() -> None:
    """What the one before it said holds no longer, and of two none is laid over the other."""
    resources = read(mesh_config("older", connectTimeout="1s"), mesh_config("younger", outboundTrafficPolicy={}))
    counting = mesh_configs(resources)[0].spec
    assert (counting.connect_timeout, counting.registry_only) == (1.0, False)
