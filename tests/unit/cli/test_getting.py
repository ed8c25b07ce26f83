from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from tests.unit.cli.fakes import LONG_AGO, FakeApi, instance, out, run
from tests.unit.cli.samples import destination_rule, service, virtual_service, workload

from mizzen.resources.kinds import KINDS
from mizzen.resources.loading import load


def _listing(*items: dict[str, Any]) -> Any:
    """Answers as the API: only the items of the kind and name that are asked for."""

    def answer(query: dict[str, str], _body: Any) -> dict[str, Any]:
        chosen = [
            item
            for item in items
            if item["kind"] == query.get("kind", item["kind"])
            and item["metadata"]["name"] == query.get("name", item["metadata"]["name"])
            and item["metadata"]["namespace"] == query.get("namespace", item["metadata"]["namespace"])
        ]
        return {"items": chosen, "problems": []}

    return answer


def test_virtual_services_as_kubectl_shows_them(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service(), virtual_service("ratings")))
    expected = 'NAME      GATEWAYS   HOSTS\nratings   <none>     ["reviews"]\nreviews   <none>     ["reviews"]\n'
    assert out("get", "vs") == expected
    assert out("get", "virtualservices.networking.istio.io") == expected
    assert api.queries("GET /v1/resources")[0] == {"kind": "VirtualService", "namespace": "default"}


def test_several_kinds_have_a_table_each_and_names_with_their_kind(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service(), destination_rule()))
    assert out("get", "vs,dr") == (
        "NAME                                         GATEWAYS   HOSTS\n"
        'virtualservice.networking.istio.io/reviews   <none>     ["reviews"]\n'
        "\n"
        "NAME                                          HOST\n"
        "destinationrule.networking.istio.io/reviews   reviews\n"
    )


def test_services_and_workloads(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(workload(replicas=2), service()))
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1", restarts=2)]})
    assert out("get", "all") == (
        "NAME                             READY   STATUS    RESTARTS   AGE\n"
        "workload.mizzen.dev/reviews-v1   1/2     Running   2          3d12h\n"
        "\n"
        "NAME              CLUSTER-IP   PORT(S)         SELECTOR\n"
        "service/reviews   <none>       9080/TCP,53/TCP   app=reviews\n"
    ).replace("PORT(S)         SEL", "PORT(S)           SEL")


def test_a_workload_that_crashes_says_so(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(workload(replicas=2)))
    crashed = instance("reviews-v1-1", "reviews-v1", phase="Backoff", ready=False, started=0.0)
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1"), crashed]})
    assert out("get", "workload").splitlines()[1] == "reviews-v1   1/2     Backoff   0          3d12h"


def test_wide_says_where_it_was_written_and_whether_it_is_in_force(api: FakeApi) -> None:
    refused = {"conditions": [{"type": "Accepted", "status": "False", "reason": "RejectedByEnvoy", "message": "no"}]}
    api.on("GET /v1/resources", _listing(virtual_service(status=refused)))
    assert out("get", "vs", "-o", "wide", "-A") == (
        "NAMESPACE   NAME      GATEWAYS   HOSTS         ACCEPTED                  SOURCE\n"
        'default     reviews   <none>     ["reviews"]   False (RejectedByEnvoy)   bookinfo.yaml:3\n'
    )


def test_a_service_that_was_found_says_where(api: FakeApi) -> None:
    found = service("db") | {"source": {"file": "the container engine", "line": 0, "text": ""}}
    api.on("GET /v1/resources", _listing(found))
    (line,) = out("get", "svc", "-o", "wide").splitlines()[1:]
    assert line.endswith("   True       the container engine")


def test_a_service_that_was_found_is_not_deleted(api: FakeApi) -> None:
    key = {"kind": "Service", "namespace": "default", "name": "db"}
    problem = {"code": "ReadOnly", "message": "nobody wrote it", "hint": "apply another", "resource": key}
    api.on("POST /v1/resources/delete", {"problems": [problem]}, 409)
    result = run("delete", "svc", "db", "--ignore-not-found")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: Service default/db: nobody wrote it (apply another) [ReadOnly]\n",
    )


def test_yaml_can_be_applied_again(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service(), destination_rule()))
    text = out("get", "vs,dr", "-o", "yaml")
    loaded = load(text, "again.yaml")
    assert [str(resource.key) for resource in loaded.resources] == [
        "VirtualService default/reviews",
        "DestinationRule default/reviews",
    ]
    assert next(yaml.safe_load_all(text))["metadata"] == {"name": "reviews", "namespace": "default"}


def test_json_of_one_resource_is_the_resource_and_of_several_a_list(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service(), virtual_service("ratings")))
    assert json.loads(out("get", "vs", "reviews", "-o", "json"))["metadata"]["name"] == "reviews"
    assert [item["metadata"]["name"] for item in json.loads(out("get", "vs", "-o", "json"))["items"]] == [
        "ratings",
        "reviews",
    ]


def test_names(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service(), service()))
    assert out("get", "vs/reviews", "svc/reviews", "-o", "name") == (
        "virtualservice.networking.istio.io/reviews\nservice/reviews\n"
    )


def test_what_does_not_exist_is_an_error_beside_what_does(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing(virtual_service()))
    result = run("get", "vs", "reviews", "ratings")
    assert result.exit_code == 1
    assert result.stdout == 'NAME      GATEWAYS   HOSTS\nreviews   <none>     ["reviews"]\n'
    assert result.stderr == "error: VirtualService default/ratings: not found [NotFound]\n"


def test_nothing_found_is_said_on_stderr(api: FakeApi) -> None:
    api.on("GET /v1/resources", _listing())
    result = run("get", "dr", "-n", "shop")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No resources found in shop namespace.\n")


def test_an_unknown_kind_has_a_nearest_name(api: FakeApi) -> None:
    result = run("get", "virtualservise")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: there is no kind 'virtualservise'\n  Did you mean virtualservice?\n",
    )


@pytest.mark.parametrize("kind", ["pods", "po", "deploy", "deployments", "StatefulSet"])
def test_kinds_of_kubernetes_that_run_point_to_what_runs_here(api: FakeApi, kind: str) -> None:
    assert run("get", kind).stderr == (
        f"error: there is no kind {kind!r}\n"
        "  Here a Workload says what runs. See: mizzen get workloads; mizzen status; mizzen containers.\n"
    )


def test_a_kind_of_another_group_is_unknown(api: FakeApi) -> None:
    assert run("get", "virtualservice.example.com").exit_code == 1


def test_a_kind_that_is_not_implemented_is_named(api: FakeApi) -> None:
    result = run("get", "peerauthentications")
    implemented = [kind.plural for kind in KINDS if kind.implemented]
    assert result.stderr == (
        f"error: PeerAuthentication is not implemented yet\n  Implemented: {', '.join(implemented)}.\n"
    )


def test_history_is_shown_the_oldest_first(api: FakeApi) -> None:
    events = [
        {"version": 9, "action": "configured", "text": "new: 1\n", "file": "/a.yaml", "line": 3, "time": _past()},
        {"version": 4, "action": "created", "text": "old: 1\n", "file": "/a.yaml", "line": 1, "time": _past()},
    ]
    api.on("GET /v1/resources/history", {"items": events})
    assert out("history", "vs", "reviews") == (
        "REVISION   ACTION       AGE     SOURCE\n"
        "4          created      3d12h   /a.yaml:1\n"
        "9          configured   3d12h   /a.yaml:3\n"
    )
    assert api.queries("GET /v1/resources/history") == [
        {"kind": "VirtualService", "namespace": "default", "name": "reviews"}
    ]
    assert out("history", "vs", "reviews", "--revision", "4") == "old: 1\n"
    result = run("history", "vs", "reviews", "--revision", "5")
    assert result.stderr == "error: VirtualService default/reviews has no revision 5\n  Known: 9, 4\n"


def test_the_history_of_nothing(api: FakeApi) -> None:
    api.on("GET /v1/resources/history", {"items": []})
    assert run("history", "vs", "reviews").exit_code == 1


def _past() -> float:
    return time.time() - LONG_AGO
