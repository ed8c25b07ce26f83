"""Services that `mizzen run` offers, in the API."""

from __future__ import annotations

from tests.support.written import service
from tests.unit.control.apis import Api

from mizzen.registry.found import service_labels, service_of_run
from mizzen.registry.reports import Instance, InstancePort, Report

OFFER = service_of_run("web", "default", [(8080, "http")], "web")
KEYS = {"keys": [{"kind": "Service", "namespace": "default", "name": "web"}]}


async def report(api: Api, *instances: Instance) -> None:
    await api.world.included(api.world.put_report(Report(node="n", instances=instances, services=(OFFER,))))


async def test_an_offered_service_says_where_it_comes_from_and_is_not_deleted(api: Api) -> None:
    await report(api)
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["source"] == {"file": "mizzen run", "line": 0, "text": ""}
    assert item["status"]["foundBy"] == "mizzen run"
    (problem,) = (await api.post("/v1/resources/delete", KEYS, 409))["problems"]
    assert problem["message"] == "nobody wrote it: it was offered by `mizzen run`, and is there as long as its commands"


async def test_nobody_is_told_of_what_is_behind_it_for_the_moment(api: Api) -> None:
    await report(api)
    published = await api.world.included(0)
    assert published.snapshot.services["web.default.svc.cluster.local"].origin
    assert published.problems == ()


async def test_a_run_is_its_endpoint(api: Api) -> None:
    run = Instance(
        name="web-r0",
        namespace="default",
        workload="web",
        digest="",
        phase="Running",
        ready=True,
        labels=service_labels(("web",)),
        service_account="web",
        ports=(InstancePort(number=8080, application=20001, inbound=20002, name="http"),),
    )
    await report(api, run)
    snapshot = (await api.world.included(0)).snapshot
    (endpoint,) = snapshot.endpoints["web.default.svc.cluster.local", 8080]
    assert (endpoint.port, endpoint.identity) == (20002, "spiffe://cluster.local/ns/default/sa/web")
    assert [str(one) for one in snapshot.services["web.default.svc.cluster.local"].identities] == [endpoint.identity]


async def test_a_written_service_wins(api: Api) -> None:
    await report(api)
    await api.post("/v1/resources/apply", {"files": [{"name": "web.yaml", "text": service("web")}]})
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["source"]["file"] == "web.yaml"
    await api.post("/v1/resources/delete", KEYS)
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["source"]["file"] == "mizzen run"
