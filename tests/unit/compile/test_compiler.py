from __future__ import annotations

import dataclasses
import itertools
import os
import random
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.compiled import all_proxies
from tests.support.worlds import TRUST_DOMAIN, instances_of, read, snapshot_of
from tests.support.written import destination_rule, service, subset, to, virtual_service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SHORT_NAMES, Resources
from mizzen.control.views import Inputs, build_snapshot
from mizzen.mesh.model import Snapshot
from mizzen.registry.addresses import allocate
from mizzen.registry.reports import Report
from mizzen.registry.services import host_of, services_in
from mizzen.resources.resource import Resource

WORLD = [
    service("reviews"),
    service("ratings", namespace="far"),
    service("mongo", ("mongo", 27017)),
    workload("reviews-v1", labels={"app": "reviews", "version": "v1"}, replicas=2),
    workload("reviews-v2", labels={"app": "reviews", "version": "v2"}),
    workload("ratings", namespace="far"),
    workload("mongo", ("mongo", 27017)),
    workload("client"),
    destination_rule("reviews", subsets=[subset("v1"), subset("v2")]),
    virtual_service("reviews", to("reviews", "v1")),
    virtual_service("outside", to("reviews"), hosts=["api.example.com"]),
]
CAPTURES = ["transparent", "explicit"]


def snapshot(
    resources: list[Resource[Any]], capture: str, *, not_ready: str = "", version: int = 1, order: int = 0
) -> Snapshot:
    """Returns the world, with one instance that is not ready, and all inputs in another order."""
    instances = [msgspec.structs.replace(one, ready=one.name != not_ready) for one in instances_of(resources, capture)]
    mixer = random.Random(order)
    shuffled = list(resources)
    if order:
        mixer.shuffle(shuffled)
        mixer.shuffle(instances)
    addresses = allocate({}, [host_of(one) for one in services_in(resources)])
    report = Report(node="n", instances=tuple(instances))
    return build_snapshot(Inputs(TRUST_DOMAIN, {one.key: one for one in shuffled}, report, addresses), version)


def versions(made: dict[str, Resources]) -> dict[str, dict[str, dict[str, str]]]:
    return {
        proxy: {kind: {name: one.version for name, one in named.items()} for kind, named in resources.items()}
        for proxy, resources in made.items()
    }


def changed(before: dict[str, Resources], after: dict[str, Resources]) -> dict[str, set[str]]:
    """Returns the names of what is new or different for any proxy, by type."""
    found: dict[str, set[str]] = {}
    for proxy, resources in after.items():
        for kind, named in resources.items():
            for name, one in named.items():
                if before[proxy][kind].get(name) != one:
                    found.setdefault(SHORT_NAMES[kind], set()).add(name)
            gone = before[proxy][kind].keys() - named.keys()
            if gone:
                found.setdefault(f"no {SHORT_NAMES[kind]}", set()).update(gone)
    return found


def with_resources(*texts: str) -> list[Resource[Any]]:
    """Returns the world with these instead of those of the same name, and as old."""
    ages = {one.key: one.created for one in read(*WORLD)}
    replaced = {one.key: one for one in [*read(*WORLD), *read(*texts)]}
    return [one.stamped(ages.get(one.key, 1000)) for one in replaced.values()]


@pytest.mark.parametrize("capture", CAPTURES)
@given(order=st.integers(1, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_inputs_does_not_count(capture: str, order: int) -> None:
    resources = read(*WORLD)
    one, other = snapshot(resources, capture), snapshot(resources, capture, order=order)
    assert one == other
    assert all_proxies(Compiler(), one) == all_proxies(Compiler(), other)


def test_a_compiler_that_has_just_started_gives_the_same_versions_in_any_process() -> None:
    program = (
        "from tests.unit.compile.test_compiler import *\n"
        "made = {c: versions(all_proxies(Compiler(), snapshot(read(*WORLD), c))) for c in CAPTURES}\n"
        "print(sorted((c, p, k, n, v) for c, ps in made.items() for p, ks in ps.items()"
        " for k, ns in ks.items() for n, v in ns.items()))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "src:."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "outbound|9080|v1|reviews.default.svc.cluster.local" in outputs.pop()


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_it_remembers_does_not_change_the_answer(capture: str) -> None:
    compiler = Compiler()
    steps = [
        snapshot(read(*WORLD), capture),
        snapshot(
            with_resources(virtual_service("reviews", to("reviews", "v2"))), capture, not_ready="client-0", version=2
        ),
        snapshot(with_resources(service("new")), capture, version=3),
        snapshot(read(*WORLD), capture, version=4),
    ]
    for step in steps:
        assert all_proxies(compiler, step) == all_proxies(Compiler(), step)


@pytest.mark.parametrize("capture", CAPTURES)
def test_replicas_with_equal_views_share_what_they_are_given(capture: str) -> None:
    made = all_proxies(Compiler(), snapshot(read(*WORLD), capture))
    one, other = made["reviews-v1-0.default"], made["reviews-v1-1.default"]
    assert one[ENDPOINTS] is other[ENDPOINTS]
    assert one[ROUTES] is other[ROUTES]
    shared = [name for name in one[CLUSTER] if name.startswith("outbound")]
    assert shared
    assert all(one[CLUSTER][name] is other[CLUSTER][name] for name in shared)
    if capture == "transparent":
        assert all(one[LISTENER][name] is other[LISTENER][name] for name in one[LISTENER] if name.startswith("0.0.0.0"))


@pytest.mark.parametrize("capture", CAPTURES)
def test_an_endpoint_re_makes_one_assignment_for_each_subset_it_is_in_and_nothing_else(capture: str) -> None:
    compiler, resources = Compiler(), read(*WORLD)
    before = all_proxies(compiler, snapshot(resources, capture))
    after = all_proxies(compiler, snapshot(resources, capture, not_ready="reviews-v2-0", version=2))
    host = "reviews.default.svc.cluster.local"
    assert changed(before, after) == {"EDS": {f"outbound|9080||{host}", f"outbound|9080|v2|{host}"}}
    for proxy, named in after.items():
        for kind in (CLUSTER, LISTENER, ROUTES):
            assert named[kind] is before[proxy][kind], (proxy, kind)


@pytest.mark.parametrize(
    ("capture", "routes"),
    [
        ("transparent", {"9080"}),
        ("explicit", {"reviews.default.svc.cluster.local:9080", "http_proxy"}),
    ],
)
def test_a_virtual_service_re_makes_routes_and_nothing_else(capture: str, routes: set[str]) -> None:
    compiler = Compiler()
    before = all_proxies(compiler, snapshot(read(*WORLD), capture))
    resources = with_resources(virtual_service("reviews", to("reviews", "v2")))
    after = all_proxies(compiler, snapshot(resources, capture, version=2))
    found = changed(before, after)
    assert found.keys() == {"RDS"}
    assert found["RDS"] == routes | {"outbound|9080||reviews.default.svc.cluster.local"}  # the last is a gRPC client's
    for proxy, named in after.items():
        for kind in (CLUSTER, ENDPOINTS, LISTENER):
            assert named[kind] is before[proxy][kind], (proxy, kind)


def test_a_new_service_leaves_listeners_and_the_routes_of_other_ports_alone() -> None:
    compiler = Compiler()
    before = all_proxies(compiler, snapshot(read(*WORLD), "transparent"))
    after = all_proxies(compiler, snapshot(with_resources(service("web", ("http", 80))), "transparent", version=2))
    del before["grpc.default"], after["grpc.default"]
    web = "outbound|80||web.default.svc.cluster.local"
    assert changed(before, after) == {"CDS": {web}, "EDS": {web}, "LDS": {"0.0.0.0_80"}, "RDS": {"80"}}


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_snapshot_that_says_the_same_is_the_same_for_every_proxy(capture: str) -> None:
    compiler, resources = Compiler(), read(*WORLD)
    before = all_proxies(compiler, snapshot(resources, capture))
    after = all_proxies(compiler, snapshot(resources, capture, version=2))
    for proxy, named in after.items():
        assert all(named[kind] is before[proxy][kind] for kind in named)


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_change_that_is_taken_back_gives_back_the_versions(capture: str) -> None:
    compiler, resources = Compiler(), read(*WORLD)
    first = all_proxies(compiler, snapshot(resources, capture))
    all_proxies(compiler, snapshot(with_resources(service("web")), capture, version=2))
    assert versions(all_proxies(compiler, snapshot(resources, capture, version=3))) == versions(first)


def test_proxies_that_are_gone_are_forgotten() -> None:
    compiler, whole = Compiler(), snapshot(read(*WORLD), "explicit")
    all_proxies(compiler, whole)
    less = dataclasses.replace(
        whole, version=2, proxies={name: one for name, one in whole.proxies.items() if name.startswith("client")}
    )
    all_proxies(compiler, less)
    assert list(compiler._compiled) == [("client-0.default", "client-0.default")]


def test_namespaces_that_nobody_asks_for_are_forgotten() -> None:
    compiler = Compiler()
    whole = snapshot(read(*WORLD), "explicit")
    all_proxies(compiler, whole)
    assert {namespace for (namespace, *_), _ in compiler._outbounds._outbound} == {"default", "far"}
    for version in (2, 3):
        other = snapshot(with_resources(service(f"new-{version}")), "explicit", version=version)
        compiler.compile(other.proxies["client-0.default"], other)
    assert {namespace for (namespace, *_), _ in {**compiler._outbounds._outbound, **compiler._outbounds._stale}} == {
        "default"
    }


@pytest.mark.trap(43)
@pytest.mark.parametrize("capture", CAPTURES)
def test_every_cluster_has_endpoints_and_every_listener_its_routes(capture: str) -> None:
    for resources in all_proxies(Compiler(), snapshot(read(*WORLD), capture, not_ready="mongo-0")).values():
        assert {name for name in resources[CLUSTER] if name.startswith("outbound")} == set(resources[ENDPOINTS])
        bodies = b"".join(one.body for one in resources[LISTENER].values())
        assert resources[ROUTES]
        assert all(name.encode() in bodies for name in resources[ROUTES])


def test_names_are_those_under_which_resources_are_given() -> None:
    made = all_proxies(Compiler(), snapshot_of(read(*WORLD)))
    for named in itertools.chain.from_iterable(resources.values() for resources in made.values()):
        assert all(name == one.name for name, one in named.items())
