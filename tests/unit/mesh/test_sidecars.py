from __future__ import annotations

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import sidecar

from mizzen.mesh.model import labels_of
from mizzen.mesh.sidecars import SidecarIndex


def selecting(name: str, namespace: str = "default", **labels: str) -> str:
    return sidecar("./*", name=name, namespace=namespace, workloadSelector={"labels": labels})


WORLD = (
    sidecar("*/*", name="root", namespace="istio-system"),
    selecting("root-selecting", "istio-system", app="lone"),
    sidecar("./*", name="b"),
    sidecar("./*", name="a"),
    selecting("z", app="web"),
    selecting("c", app="web", version="v1"),
    selecting("far", "far", app="web"),
)


@pytest.mark.trap(3)
@pytest.mark.parametrize(
    ("namespace", "labels", "chosen"),
    [
        ("default", {"app": "web", "version": "v1"}, "z"),  # the oldest that selects it, not the one that says most
        ("default", {"app": "web"}, "z"),
        ("default", {"version": "v1"}, "b"),  # the oldest without a selector
        ("default", {}, "b"),
        ("far", {"app": "web"}, "far"),
        ("far", {}, "root"),
        ("elsewhere", {"app": "lone"}, "root"),  # a selector in the root namespace is for the root namespace
        ("istio-system", {"app": "lone"}, "root-selecting"),
        ("istio-system", {}, "root"),
    ],
)
def test_which_sidecar_a_workload_obeys(namespace: str, labels: dict[str, str], chosen: str) -> None:
    found = SidecarIndex(snapshot_of(read(*WORLD)).sidecars, "istio-system").of(namespace, labels_of(labels))
    assert found is not None
    assert found.name == chosen


def test_without_any_a_workload_obeys_none() -> None:
    index = SidecarIndex(snapshot_of(read(sidecar("./*"))).sidecars, "istio-system")
    assert index.of("elsewhere") is None


def test_an_empty_selector_selects_all_of_its_namespace() -> None:
    snapshot = snapshot_of(read(sidecar("./*"), sidecar("*/*", name="all", workloadSelector={})))
    index = SidecarIndex(snapshot.sidecars, "istio-system")
    assert [one.name if (one := index.of(namespace)) else None for namespace in ("default", "far")] == ["all", None]
