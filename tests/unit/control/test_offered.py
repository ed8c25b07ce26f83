"""Services that `mizzen run` offers, in the API."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.written import service
from tests.unit.control.apis import Api

from mizzen.control import changes
from mizzen.registry.found import service_labels, service_of_run
from mizzen.registry.reports import Instance, InstancePort, Report

OFFER = service_of_run("web", "default", [(8080, "http")], "web")
RUN = Instance(
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
KEYS = {"keys": [{"kind": "Service", "namespace": "default", "name": "web"}]}


async def report(api: Api, *instances: Instance) -> None:
    await api.world.included(api.world.put_report(Report(node="n", instances=instances, services=(OFFER,))))


async def test_an_offered_service_says_where_it_comes_from_and_is_not_deleted_while_it_is_offered(api: Api) -> None:
    await report(api, RUN)
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["source"] == {"file": "mizzen run", "line": 0, "text": ""}
    assert item["status"]["foundBy"] == "mizzen run"
    (problem,) = (await api.post("/v1/resources/delete", KEYS, 409))["problems"]
    assert problem["message"] == (
        "nobody wrote it: it was offered by `mizzen run` (web-r0), and can be deleted when that has ended, or goes 5"
        " minutes later"
    )


async def test_what_no_run_offers_any_more_is_deleted_at_once(api: Api) -> None:
    await report(api)
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(api.post("/v1/resources/delete", KEYS))
        published = await api.world.published.until(lambda now: bool(now and now.desired.dismissed))
        assert published
        assert published.desired.dismissed == (("default", "web"),)
        # What the node forgets is in its next report.
        await api.world.included(api.world.put_report(Report(node="n")))
    assert deleting.result()["results"] == [
        {"kind": "Service", "namespace": "default", "name": "web", "action": "deleted"}
    ]
    assert (await api.world.included(0)).desired.dismissed == ()


async def test_what_is_offered_again_meanwhile_is_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_LONGEST", 0.2)
    await report(api)
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(api.post("/v1/resources/delete", KEYS, 422))
        await api.world.published.until(lambda now: bool(now and now.desired.dismissed))
        await report(api, RUN)
    (problem,) = deleting.result()["problems"]
    assert problem["message"] == "it is still there: a run has begun that offers it again"
    assert (await api.world.included(0)).desired.dismissed == ()


async def test_nobody_is_told_of_what_is_behind_it_for_the_moment(api: Api) -> None:
    await report(api)
    published = await api.world.included(0)
    assert published.snapshot.services["web.default.svc.cluster.local"].origin
    assert published.problems == ()


async def test_a_run_is_its_endpoint(api: Api) -> None:
    await report(api, RUN)
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
