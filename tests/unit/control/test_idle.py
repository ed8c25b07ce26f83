from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from tests.support.worlds import NODE_PROXY, inputs_of, read, snapshot_of
from tests.support.written import envoy_filter, patch, proxy_config, workload

from mizzen.control.idle import idle_settings
from mizzen.control.views import Inputs, build_snapshot
from mizzen.registry.reports import Report
from mizzen.resources.problems import Problem

ROOT = "istio-system"
BOOTSTRAP = envoy_filter("it", patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}))
ELSEWHERE = envoy_filter("it", patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}, context="GATEWAY"))
FOR_ALL = envoy_filter("it", patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}), namespace=ROOT)
STARTS_NONE = "no proxy is started with it: it is for none that runs, or an older one counts"
CHANGES_NOTHING = "this patch changes nothing: no proxy is started with it"
SEATED = (
    "no proxy is started with it: shop-0.default have a seat in the proxy of their node, which is started once for all"
)


@pytest.mark.parametrize(
    ("text", "capture", "expected"),
    [
        (proxy_config("it", concurrency=1), "explicit", []),
        (proxy_config("it", concurrency=1), "node", [SEATED]),
        (proxy_config("it", namespace=ROOT, concurrency=1), "node", []),
        (proxy_config("it", namespace="mizzen-system", concurrency=1), "node", []),
        (proxy_config("it", namespace="mizzen-system", concurrency=1), "explicit", [STARTS_NONE]),
        # What a proxy says of itself counts at a seat: EnvoyFilters ask for it.
        (proxy_config("it", environmentVariables={"ISTIO_META_TEAM": "a"}), "node", []),
        (proxy_config("it", environmentVariables={"ISTIO_META_TEAM": "a", "B": "c"}), "node", [SEATED]),
        (proxy_config("it", namespace="other", concurrency=1), "explicit", [STARTS_NONE]),
        (proxy_config("it", concurrency=1) + proxy_config("older", concurrency=2), "explicit", [STARTS_NONE]),
        (BOOTSTRAP, "explicit", []),
        (BOOTSTRAP, "node", [SEATED]),
        (FOR_ALL, "node", []),
        (ELSEWHERE, "explicit", [CHANGES_NOTHING]),
        (ELSEWHERE, "node", [CHANGES_NOTHING]),
    ],
)
def test_what_starts_nothing_is_told(text: str, capture: str, expected: list[str]) -> None:
    resources = read(workload("shop"), text)
    found = idle_settings(snapshot_of(resources, capture), {one.key for one in resources})
    assert [one.message for one in found] == expected


def test_seats_are_named_beside_those_who_start_with_it() -> None:
    resources = read(*(workload(f"shop{number}") for number in range(5)), proxy_config("it", concurrency=1))
    inputs = inputs_of(resources, "node")
    assert inputs.report
    first, *others = inputs.report.instances
    report = msgspec.structs.replace(inputs.report, instances=(msgspec.structs.replace(first, proxies=()), *others))
    found = idle_settings(build_snapshot(replace(inputs, report=report), 1), {one.key for one in resources}, report)
    (told,) = [one.message for one in found]
    assert told == (
        "not all proxies are started with it: shop1-0.default, shop2-0.default, shop3-0.default and 1 more have a seat in"
        " the proxy of their node, which is started once for all"
    )


def later(
    text: str, started_with: tuple[str, ...] | None, *, written: bool = False, node: bool = False
) -> list[Problem]:
    """What is told of one resource where the proxy of an instance, or of the node, was started with resources of these digests."""
    resources = read(workload("shop"), text)
    inputs: Inputs = inputs_of(resources, "node" if node else "explicit")
    assert inputs.report
    instances = tuple(msgspec.structs.replace(one, started_with=started_with) for one in inputs.report.instances)
    report = Report(
        node="host", instances=instances, node_proxy=NODE_PROXY if node else "", node_proxy_started_with=started_with
    )
    snapshot = build_snapshot(replace(inputs, report=report), 1)
    return list(idle_settings(snapshot, {one.key for one in resources} if written else (), report))


@pytest.mark.parametrize("text", [proxy_config("it", namespace=ROOT, concurrency=2), FOR_ALL])
@pytest.mark.parametrize(("node", "named"), [(False, "shop-0.default"), (True, NODE_PROXY)])
def test_a_proxy_that_is_not_replaced_is_named_until_it_starts_again(text: str, node: bool, named: str) -> None:
    (told,) = later(text, (), node=node)
    assert (told.code, told.message) == ("StartsLater", f"it takes effect when these proxies start again: {named}")
    (digest,) = [one.digest for one in read(text)]
    assert later(text, (digest,), node=node) == []
    assert later(text, None, node=node) == [], "it does not run"


def test_replicas_of_workloads_are_replaced_and_not_told_of() -> None:
    assert later(proxy_config("it", concurrency=2), (), written=True) == []


def test_what_is_of_listeners_does_not_wait_for_a_start() -> None:
    assert later(proxy_config("it", environmentVariables={"ISTIO_META_HTTP10": "1"}), ()) == []
