from __future__ import annotations

from typing import Any

import pytest
from tests.support.fields import Two, Variant, covered, implemented, usual, variants
from tests.support.worlds import read
from tests.support.written import proxy_config

from mizzen.mesh.proxy_configs import ProxyStart, proxy_start, taking_http10
from mizzen.resources.proxy_config import ProxyConfigSpec

LABELS = (("app", "a"),)


def start(*configs: str) -> ProxyStart:
    return proxy_start(read(*configs), "default", LABELS, "istio-system")


def of(name: str, namespace: str = "default", **spec: Any) -> str:
    return proxy_config(name, namespace=namespace, **spec)


def env(**variables: str) -> dict[str, Any]:
    return {"environmentVariables": variables}


def test_without_any_a_proxy_starts_as_ever() -> None:
    assert start() == ProxyStart(None, {}, {})


@pytest.mark.trap(40)
def test_a_proxy_config_for_a_workload_ranks_above_its_namespace_and_that_above_the_root() -> None:
    root = of("r", "istio-system", concurrency=1, **env(A="root", B="root", C="root"))
    own = of("own", concurrency=2, **env(B="namespace", C="namespace"))
    picked = of("w", selector={"matchLabels": {"app": "a"}}, **env(C="workload"))
    assert start(picked, own, root) == ProxyStart(2, {"A": "root", "B": "namespace", "C": "workload"}, {})
    assert start(root) == ProxyStart(1, {"A": "root", "B": "root", "C": "root"}, {})


@pytest.mark.trap(3)
def test_of_a_level_the_oldest_counts() -> None:
    assert start(of("z", concurrency=1), of("a", concurrency=2)).concurrency == 1


def test_others_do_not_count() -> None:
    others = (
        of("elsewhere", "other", concurrency=1),
        of("not", selector={"matchLabels": {"app": "b"}}, concurrency=2),
        of("root", "istio-system", selector={"matchLabels": {"app": "a"}}, concurrency=3),
    )
    assert start(*others) == ProxyStart()


def test_istio_meta_becomes_what_the_proxy_says_of_itself() -> None:
    found = start(of("own", **env(ISTIO_META_ISTIO_VERSION="1.29.0", GODEBUG="x")))
    assert found == ProxyStart(None, {"GODEBUG": "x"}, {"ISTIO_VERSION": "1.29.0"})


def test_zero_threads_are_a_number() -> None:
    assert start(of("r", "istio-system", concurrency=4), of("own", concurrency=0)).concurrency == 0


@pytest.mark.parametrize(("value", "taken"), [("1", True), ("0", False), ("true", False)])
def test_http_1_0_is_taken_where_the_word_that_counts_says_so(value: str, taken: bool) -> None:
    root = of("r", "istio-system", **env(ISTIO_META_HTTP10=value))
    picked = of("w", selector={"matchLabels": {"app": "b"}}, **env(ISTIO_META_HTTP10="0"))
    takes = taking_http10(read(root, picked), "istio-system")
    assert [takes("default", LABELS), takes("default", (("app", "b"),))] == [taken, False]
    assert not taking_http10(read(of("a", **env(A="b"))), "istio-system")("default", LABELS)


TEMPLATE = {
    "selector": {"matchLabels": {"app": Two("a", "b")}},
    "concurrency": Two(1, 2),
    "environmentVariables": {"A": Two("1", "2")},
}


@pytest.mark.parametrize("variant", list(variants(ProxyConfigSpec, TEMPLATE)), ids=lambda one: one.path)
def test_no_field_is_read_and_ignored(variant: Variant) -> None:
    assert start(of("it", **variant.spec)) != start(of("it", **usual(TEMPLATE)))


def test_every_field_is_looked_at() -> None:
    varied = {variant.path for variant in variants(ProxyConfigSpec, TEMPLATE)}
    assert [path for path in implemented(ProxyConfigSpec) if not covered(path, varied)] == []
