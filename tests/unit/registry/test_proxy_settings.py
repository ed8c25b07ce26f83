from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.worlds import read
from tests.support.written import envoy_filter, mesh_config, patch, proxy_config, workload

from mizzen.control.views import Inputs, build_desired, build_snapshot
from mizzen.node.starts import Starts
from mizzen.registry.proxy_settings import SYSTEM_NAMESPACE, BootstrapPatch, ProxySettings, Start
from mizzen.registry.reports import Desired, DesiredWorkload

RUNTIME = {"layered_runtime": {"layers": [{"name": "mine", "static_layer": {"a": 1}}]}}


def all_desired(*texts: str) -> Desired:
    resources = read(*texts)
    inputs = Inputs("cluster.local", {one.key: one for one in resources})
    return build_desired(inputs, build_snapshot(inputs, 1))


def desired(*texts: str, **spec: Any) -> DesiredWorkload:
    (found,) = all_desired(workload("shop", **spec), *texts).workloads
    return found


def bootstraps(*texts: str, **spec: Any) -> tuple[BootstrapPatch, ...]:
    return desired(*texts, **spec).proxy.bootstrap


def test_without_any_nothing_is_said_and_no_replica_is_replaced() -> None:
    assert desired().proxy == ProxySettings()
    elsewhere = proxy_config("it", namespace="other", concurrency=2)
    assert desired(elsewhere).digest == desired().digest


def test_for_what_proxies_are_told_by_the_control_plane_no_replica_is_replaced() -> None:
    taken = proxy_config("it", environmentVariables={"ISTIO_META_HTTP10": "1"})
    assert desired(taken).digest == desired().digest


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


def starts(*texts: str) -> Starts:
    """What a node knows that was told over the wire."""
    told = msgspec.json.decode(msgspec.json.encode(all_desired(*texts)), type=Desired)
    made = Starts()
    assert made.take(told.starts, told.root_namespace) == ""
    return made


EACH = (
    proxy_config("mesh", namespace="istio-system", concurrency=2, environmentVariables={"A": "mesh", "B": "mesh"}),
    proxy_config("shop", selector={"matchLabels": {"app": "shop"}}, environmentVariables={"A": "shop"}),
    proxy_config("nodes", namespace=SYSTEM_NAMESPACE, concurrency=0),
    envoy_filter("mesh", patch("BOOTSTRAP", "MERGE", RUNTIME, context="SIDECAR_INBOUND"), namespace="istio-system"),
    envoy_filter(
        "shop", patch("BOOTSTRAP", "MERGE", {"flags_path": "/x"}), workloadSelector={"labels": {"app": "shop"}}
    ),
    envoy_filter(
        "edge", patch("BOOTSTRAP", "MERGE", {"flags_path": "/y"}, context="GATEWAY"), namespace="istio-system"
    ),
)
OF_MESH = BootstrapPatch(value=RUNTIME)


def test_a_node_starts_containers_and_runs_as_the_control_plane_would_have_it() -> None:
    found = starts(*EACH).of("default", "web", "default", {"app": "shop"})
    assert found.settings == ProxySettings(
        concurrency=2, env={"A": "shop", "B": "mesh"}, bootstrap=(OF_MESH, BootstrapPatch(value={"flags_path": "/x"}))
    )
    digests = {one.digest for one in read(*EACH) if one.name in ("mesh", "shop")}
    assert set(found.said_by) == digests
    assert found.settings == desired(*EACH).proxy
    assert starts(*EACH).of("default", "web", "default", {}).settings.env == {"A": "mesh", "B": "mesh"}


def test_the_proxy_of_a_node_starts_with_what_is_for_all_or_for_such_proxies() -> None:
    found = starts(*EACH).of(SYSTEM_NAMESPACE, "host", "", {}).settings
    assert found == ProxySettings(concurrency=0, env={"A": "mesh", "B": "mesh"}, bootstrap=(OF_MESH,))


def test_another_root_namespace_is_told() -> None:
    config = proxy_config("it", namespace="roots", concurrency=3)
    assert starts(config).of("default", "web", "default", {}) == Start()
    assert (
        starts(config, mesh_config(rootNamespace="roots")).of("default", "web", "default", {}).settings.concurrency == 3
    )


def test_what_is_gone_is_said_no_more() -> None:
    made = starts(*EACH)
    assert made.take((), "istio-system") == ""
    assert made.of("default", "web", "default", {"app": "shop"}) == Start()


def test_what_another_version_says_is_told_once_and_what_there_was_stays() -> None:
    made = starts(*EACH)
    before = made.of("default", "web", "default", {})
    (first, *rest) = all_desired(*EACH).starts
    unknown = (msgspec.structs.replace(first, spec={"concurrency": "many"}), *rest)
    assert "cannot read how proxies are to be started (ProxyConfigSpec): restart the mesh" in made.take(unknown, "x")
    assert made.take(unknown, "x") == ""
    assert made.of("default", "web", "default", {}) == before
