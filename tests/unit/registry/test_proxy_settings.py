from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import envoy_filter, patch, proxy_config, workload

from mizzen.control.views import Inputs, build_desired, build_snapshot
from mizzen.registry.proxy_settings import BootstrapPatch, ProxySettings
from mizzen.registry.reports import DesiredWorkload

RUNTIME = {"layered_runtime": {"layers": [{"name": "mine", "static_layer": {"a": 1}}]}}


def desired(*texts: str, **spec: Any) -> DesiredWorkload:
    resources = read(workload("shop", **spec), *texts)
    inputs = Inputs("cluster.local", {one.key: one for one in resources})
    (found,) = build_desired(inputs, build_snapshot(inputs, 1)).workloads
    return found


def bootstraps(*texts: str, **spec: Any) -> tuple[BootstrapPatch, ...]:
    return desired(*texts, **spec).proxy.bootstrap


def test_without_any_nothing_is_said_and_no_replica_is_replaced() -> None:
    assert desired().proxy == ProxySettings()
    elsewhere = proxy_config("it", namespace="other", concurrency=2)
    assert desired(elsewhere).digest == desired().digest


def test_a_change_replaces_the_replicas() -> None:
    digests = {
        desired().digest,
        desired(proxy_config("it", concurrency=2)).digest,
        desired(proxy_config("it", concurrency=3)).digest,
        desired(proxy_config("it", environmentVariables={"A": "b"})).digest,
        desired(envoy_filter("it", patch("BOOTSTRAP", "MERGE", RUNTIME))).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("operation", "match", "spec", "expected"),
    [
        ("MERGE", {}, {}, (BootstrapPatch(value=RUNTIME),)),
        ("MERGE_AND_REPLACE_LIST", {}, {}, (BootstrapPatch(value=RUNTIME, replace_lists=True),)),
        ("MERGE", {"context": "GATEWAY"}, {}, ()),
        ("MERGE", {"context": "SIDECAR_OUTBOUND"}, {}, (BootstrapPatch(value=RUNTIME),)),
        ("MERGE", {"proxy": {"metadata": {"WORKLOAD_NAME": "shop"}}}, {}, (BootstrapPatch(value=RUNTIME),)),
        ("MERGE", {"proxy": {"metadata": {"WORKLOAD_NAME": "other"}}}, {}, ()),
        ("MERGE", {}, {"workloadSelector": {"labels": {"app": "other"}}}, ()),
    ],
)
def test_which_bootstraps_are_patched(
    operation: str, match: dict[str, Any], spec: dict[str, Any], expected: tuple[BootstrapPatch, ...]
) -> None:
    made = envoy_filter("it", patch("BOOTSTRAP", operation, RUNTIME, **match), **spec)
    assert bootstraps(made) == expected
