from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.support.worlds import TRUST_DOMAIN, instances_of
from tests.support.written import (
    destination_rule,
    gateway_workload,
    mesh_config,
    service,
    virtual_service,
    workload,
)

from mizzen.control.views import Inputs, build_desired, build_snapshot, hosts_of, running, template_digest
from mizzen.registry.reports import Desired, DesiredWorkload, Report
from mizzen.resources.loading import load
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.store.contents import Contents

WORLD = (service("a"), workload("a", workingDir="here"), service("b", namespace="far"))


def inputs(*texts: str, file: str = "/world/mesh.yaml", **fields: Any) -> Inputs:
    resources: list[Resource[Any]] = list(load("".join(texts), file).resources)
    return Inputs(TRUST_DOMAIN, {one.key: one for one in resources}, **fields)


def desired(given: Inputs, *problems: Problem) -> Desired:
    return build_desired(given, build_snapshot(given, 7), problems)


def only(*texts: str, **fields: Any) -> DesiredWorkload:
    (one,) = desired(inputs(*texts, **fields)).workloads
    return one


def test_a_node_is_told_what_to_run_and_which_names_to_answer() -> None:
    found = desired(inputs(*WORLD, addresses={"a.default.svc.cluster.local": "240.240.0.1"}))
    assert (found.version, found.trust_domain) == (7, TRUST_DOMAIN)
    assert [(one.namespace, one.name, one.labels) for one in found.workloads] == [("default", "a", {"app": "a"})]
    assert [(one.host, one.name, one.namespace, one.address) for one in found.services] == [
        ("a.default.svc.cluster.local", "a", "default", "240.240.0.1"),
        ("b.far.svc.cluster.local", "b", "far", ""),
    ]
    assert {(one.ports, one.port_names) for one in found.services} == {((9080,), ("http",))}


def test_a_working_directory_is_relative_to_the_file_in_which_it_is_written() -> None:
    assert only(*WORLD).spec["workingDir"] == "/world/here"
    assert only(workload("a", workingDir="/there")).spec["workingDir"] == "/there"
    assert only(workload("a")).spec["workingDir"] == "/world"
    assert only(workload("a"), file="mesh.yaml").spec["workingDir"] == str(Path.cwd())


def test_restarts_are_counted_for_each_workload() -> None:
    assert only(*WORLD, restarts={("default", "a"): 3, ("far", "a"): 9}).restarts == 3


def test_a_replica_is_replaced_when_what_it_is_changes_and_not_when_their_number_does() -> None:
    before = only(workload("a")).digest
    assert only(workload("a", replicas=5)).digest == before
    assert only(workload("a", terminationGracePeriodSeconds=5)).digest == before
    for other in (
        workload("a", command=["other"]),
        workload("a", env=[{"name": "A", "value": "b"}]),
        workload("a", serviceAccount="other"),
        workload("a", labels={"app": "a", "version": "v2"}),
        workload("a", ("http", 1)),
    ):
        assert only(other).digest != before


def test_the_order_in_which_a_workload_is_written_does_not_count() -> None:
    assert template_digest({"a": 1, "b": 2}, {"c": "d", "e": "f"}) == template_digest(
        {"b": 2, "a": 1}, {"e": "f", "c": "d"}
    )


def test_problems_are_told_in_words() -> None:
    (told,) = desired(inputs(*WORLD), Problem(code="X", message="is wrong")).problems
    assert "is wrong" in told


def test_a_node_is_told_what_is_written_and_which_file_says_it() -> None:
    given = inputs(*WORLD)
    in_file, applied, *_ = keys = list(given.resources)
    contents = Contents(3, given.resources, watched=frozenset(keys) - {applied})
    found = {one.resource: one for one in build_desired(given, build_snapshot(given, 7), (), contents).written}
    assert list(found) == [str(key) for key in keys]
    assert (found[str(in_file)].file, found[str(applied)].file) == ("/world/mesh.yaml", "")
    assert found[str(applied)].digest == given.resources[applied].digest


def test_a_gateway_is_told_no_secret_of_a_rule_that_the_mesh_does_not_export_to_it() -> None:
    def names(*texts: str) -> list[str]:
        given = inputs(gateway_workload(), rule, *texts)
        report = Report(node="n", instances=instances_of(list(given.resources.values())))
        found = desired(dataclasses.replace(given, report=report)).secrets
        assert all((one.namespace, one.instances) == ("default", ("ingress-0",)) for one in found)
        return [secret.name for one in found for secret in one.secrets]

    tls = {"mode": "SIMPLE", "credentialName": "client"}
    rule = destination_rule("b", namespace="far", trafficPolicy={"tls": tls})
    assert names() == ["kubernetes://client-cacert"]
    assert not names(mesh_config(defaultDestinationRuleExportTo=["."]))


def test_a_snapshot_without_a_report_has_services_and_nothing_that_runs() -> None:
    found = build_snapshot(inputs(*WORLD), 3)
    assert (found.version, list(found.services)) == (3, hosts_of(inputs(*WORLD).resources.values()))
    assert not found.proxies
    assert set(found.endpoints.values()) == {()}


def test_a_snapshot_of_what_runs() -> None:
    given = inputs(*WORLD)
    report = Report(node="n", instances=instances_of(list(given.resources.values())))
    found = build_snapshot(dataclasses.replace(given, report=report), 1)
    assert list(found.proxies) == ["a-0.default"]
    assert [len(one) for one in found.endpoints.values()] == [1, 0]


def _running_world(*more: str, **fields: Any) -> Inputs:
    given = inputs(*WORLD, *more, **fields)
    instances = instances_of(list(inputs(*WORLD).resources.values()))
    return dataclasses.replace(given, report=Report(node="n", instances=instances))


def test_a_change_of_policy_leaves_what_runs_as_the_very_same_objects() -> None:
    before = running(_running_world())
    after = _running_world(virtual_service("a"), destination_rule("a"))
    assert running(after, before) is before
    assert build_snapshot(after, 2, running(after, before)) == build_snapshot(after, 2)
    assert build_snapshot(after, 2, running(after, before)).proxies is before.proxies


@pytest.mark.parametrize(
    "after",
    [
        _running_world(service("c")),
        _running_world(workload("c")),
        _running_world(addresses={"a.default.svc.cluster.local": "240.240.0.9"}),
        dataclasses.replace(_running_world(), trust_domain="elsewhere"),
        dataclasses.replace(_running_world(), report=None),
        inputs(service("a", ("other", 81)), *WORLD[1:]),
        inputs(*WORLD[:1], workload("a", serviceAccount="other"), *WORLD[2:]),
    ],
    ids=["a service", "a workload", "an address", "trust domain", "no report", "a port", "an account"],
)
def test_what_runs_is_worked_out_again_whenever_it_may_differ(after: Inputs) -> None:
    before = running(_running_world())
    assert running(after, before) == running(after) != before
    assert build_snapshot(after, 2, running(after, before)) == build_snapshot(after, 2)


def test_addresses_that_change_in_place_are_noticed() -> None:
    addresses = {"a.default.svc.cluster.local": "240.240.0.1"}
    given = _running_world(addresses=addresses)
    before = running(given)
    addresses["a.default.svc.cluster.local"] = "240.240.0.2"
    assert running(given, before).services["a.default.svc.cluster.local"].address == "240.240.0.2"
