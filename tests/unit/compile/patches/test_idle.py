from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import envoy_filter, patch
from tests.unit.compile.patches.test_stage import WORLD

from mizzen.compile.compiler import Compiler
from mizzen.compile.patches.idle import idle_patches

MERGE = {"connect_timeout": "7s"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"configPatches": [patch("CLUSTER", "MERGE", MERGE)]}, []),
        (
            {
                "configPatches": [
                    patch("CLUSTER", "MERGE", MERGE),
                    patch("CLUSTER", "MERGE", MERGE, cluster={"name": "a"}),
                ]
            },
            [
                "spec.configPatches[1]: this patch changes nothing: no CLUSTER of other-0.default, shop-0.default is what it matches"
            ],
        ),
        (
            {"configPatches": [patch("CLUSTER", "MERGE", MERGE, proxy={"proxyVersion": "^1.*"})]},
            [
                (
                    "spec.configPatches[0]: this patch changes nothing: no proxy of other-0.default, shop-0.default has a "
                    "fitting ISTIO_VERSION in its metadata"
                )
            ],
        ),
        (
            {"configPatches": [patch("CLUSTER", "MERGE", MERGE)], "workloadSelector": {"labels": {"app": "none"}}},
            ["spec.workloadSelector: it is for no proxy: none runs in namespace default with the labels app: none"],
        ),
    ],
)
@pytest.mark.parametrize("capture", ["explicit", "node"])
def test_what_changes_nothing_is_told(spec: dict[str, Any], expected: list[str], capture: str) -> None:
    snapshot = snapshot_of(read(*WORLD, envoy_filter("it", **spec)), capture)
    found = list(idle_patches(Compiler(), snapshot))
    assert [f"{one.path}: {one.message}" for one in found] == expected
    assert all(one.level == "warning" and one.position for one in found)


def test_what_changes_nothing_any_more_is_told() -> None:
    compiler = Compiler()

    def found(version: int, **match: Any) -> list[str]:
        written = envoy_filter("it", patch("CLUSTER", "MERGE", MERGE, **match))
        return [one.path for one in idle_patches(compiler, snapshot_of(read(*WORLD, written), version=version))]

    assert found(1) == []
    assert found(2, proxy={"metadata": {"NAMESPACE": "none"}}) == ["spec.configPatches[0]"]


def test_where_there_are_none_nothing_is_compiled() -> None:
    class Never(Compiler):
        def compile(self, *_: Any) -> Any:
            raise AssertionError

    assert list(idle_patches(Never(), snapshot_of(read(*WORLD), "explicit"))) == []
