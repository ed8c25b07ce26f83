"""Containers in the API: who is a member, what is found among them, and what their engine does instead of the mesh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.written import service, to, virtual_service
from tests.unit.control.apis import FILES, Api, codes

from mizzen.registry.reports import ContainerState, ExecContext, FoundPort, FoundService, Instance, Look, Report

NODE_PROXY = "vm.example.com.mizzen-system"
FOUND = FoundService(
    name="db",
    namespace="default",
    ports=(FoundPort(number=3306, name="tcp-3306", app_protocol="tcp"),),
    selector={"service.mizzen.dev/db": "true"},
)


def container(name: str, state: str = "Attached", number: str = "", **fields: Any) -> ContainerState:
    return ContainerState(
        id=number or f"{sum(name.encode()):04x}" * 16,
        name=name,
        state=state,
        instance=name.replace("_", "-"),
        namespace="default",
        **fields,
    )


def instance(name: str, **fields: Any) -> Instance:
    return Instance(name=name, namespace="default", workload=name, digest="d", phase="Running", **fields)


async def report(api: Api, *containers: ContainerState, **fields: Any) -> None:
    await api.world.included(api.world.put_report(Report(node="n", containers=containers, **fields)))


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer["items"]]


async def test_containers_are_meant_by_name_project_or_id(api: Api) -> None:
    await report(
        api,
        container("my_web", "Attached", "abcd" * 16, project="shop"),
        container("db", "Refused", "bbbb" * 16, project="shop", reason="it has no network"),
        problems=("label x says nothing",),
    )
    everything = await api.get("/v1/containers")
    assert names(everything) == ["my_web", "db"]
    assert everything["items"][1]["reason"] == "it has no network"
    assert everything["problems"] == ["label x says nothing"]
    for target, expected in {
        "shop": ["my_web", "db"],
        "my_web": ["my_web"],
        "my-web": ["my_web"],
        "abcd": ["my_web"],
        "abc": [],  # too short for an id, as podman and docker would take it
        "": [],
    }.items():
        answer = await api.get("/v1/containers", target=[target])
        assert (names(answer), answer["unmatched"]) == (expected, [] if expected else [target])


async def test_attaching_waits_until_the_node_has_done_what_it_can(api: Api) -> None:
    await report(api, container("web", "Outside"), container("db", "Outside"))
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(
            api.post("/v1/attachments", {"targets": ["web", "later"], "proxy": "node", "timeout": 60})
        )
        published = await api.world.published.until(lambda now: bool(now and now.desired.attachments))
        assert published
        assert {one.target: one.proxy for one in published.desired.attachments} == {"web": "node", "later": "node"}
        number = published.desired.attachments_version
        await report(api, container("web", "Attaching"), attachments_version=number)
        await report(api, container("web"), container("db", "Attaching"), attachments_version=number)
    answer = asked.result()
    assert [(one["name"], one["state"]) for one in answer["items"]] == [("web", "Attached")]
    assert (answer["unmatched"], answer["taken"]) == (["later"], True)


async def test_what_takes_longer_is_told_as_far_as_it_is(api: Api) -> None:
    await report(api, container("web", "Outside"))
    answer = await api.post("/v1/attachments", {"targets": ["*"]})
    assert (names(answer), answer["taken"], answer["unmatched"]) == (["web"], False, [])
    await report(api, container("web", "Attaching", reason="waiting for its certificate"), attachments_version=9)
    answer = await api.post("/v1/attachments", {"targets": ["*"], "timeout": 0.01})
    assert (answer["items"][0]["reason"], answer["taken"]) == ("waiting for its certificate", True)


async def test_what_its_label_made_a_member_can_be_detached(api: Api) -> None:
    await report(api, container("web"))
    await api.post("/v1/attachments", {"targets": ["*"], "proxy": "none"})
    published = await api.world.published.until(lambda now: bool(now and now.desired.attachments))
    assert published
    assert {one.target: one.proxy for one in published.desired.attachments} == {"*": "none"}


@contextlib.asynccontextmanager
async def looking(
    api: Api, *found: ContainerState, problem: str = "", running: tuple[ContainerState, ...] = ()
) -> AsyncIterator[None]:
    """A node that answers who wants to know which containers there are."""

    async def answer_all() -> None:
        async for now in api.world.published:
            if now and now.report and now.desired.look != now.report.look.number:
                look = Look(number=now.desired.look, containers=found, problem=problem)
                await report(api, *running, look=look)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer_all())
        yield
        task.cancel()


async def test_before_anything_is_attached_the_engine_is_asked(api: Api) -> None:
    await report(api)
    assert names(await api.get("/v1/containers")) == []
    async with looking(api, container("web", "Outside"), container("old", "Stopped")):
        assert names(await api.get("/v1/containers", look="true")) == ["web"]
        assert names(await api.get("/v1/containers")) == []
        assert (await api.get("/v1/containers", look="true", target="old"))["unmatched"] == ["old"]
        # Numbers of an earlier control plane are never those of a new one.
        first = api.world._look
        await api.get("/v1/containers", look="true")
        assert api.world._look > first > 1_700_000_000_000


async def test_an_engine_that_cannot_be_asked_is_told_to_who_wanted_it(api: Api) -> None:
    await report(api)
    async with looking(api, problem="no engine answers"):
        assert (await api.get("/v1/containers", look="true"))["problems"] == ["no engine answers"]
        assert (await api.get("/v1/containers"))["problems"] == []
        wish = {"targets": ["anything"], "existing": True}
        assert (await api.post("/v1/attachments", wish))["unmatched"] == ["anything"]


@pytest.mark.parametrize(
    ("proxy", "target", "hint"),
    [
        ("", "shpo", "did you mean shop? --future attaches what will be called so"),
        ("node", "far", "--future attaches what will be called so"),
        ("none", "wbe", "did you mean web?"),
        ("none", "far", "mizzen containers lists them"),
    ],
)
async def test_what_does_not_exist_is_refused(api: Api, proxy: str, target: str, hint: str) -> None:
    web = container("web", "Outside", project="shop")
    await report(api, web)
    wish = {"targets": ["web", target], "proxy": proxy, "existing": True}
    async with looking(api, running=(web,)):
        (problem,) = (await api.post("/v1/attachments", wish, 404))["problems"]
    assert (problem["code"], problem["hint"]) == ("NotFound", hint)
    assert problem["message"] == f"there is no container or Compose project {target}"
    published = await api.world.included(0)
    assert published.desired.attachments == ()


async def test_what_does_not_run_or_was_attached_before_is_no_mistake(api: Api) -> None:
    await report(api)
    async with looking(api, container("old", "Stopped", project="shop")):
        for target in ("old", "shop"):
            await api.post("/v1/attachments", {"targets": [target], "existing": True})
        await api.post("/v1/attachments", {"targets": ["far"]})
        assert (await api.get("/v1/containers", look="true"))["waiting"] == ["far"]
        await api.post("/v1/attachments", {"targets": ["far"], "existing": True})
        await api.post("/v1/attachments", {"targets": ["far"], "proxy": "none", "existing": True})
        assert (await api.get("/v1/containers", look="true"))["waiting"] == []


@pytest.mark.parametrize(
    "body",
    [None, {}, {"targets": []}, {"targets": [""]}, {"targets": ["shop/web"]}, {"targets": ["web"], "proxy": "ambient"}],
)
async def test_an_attachment_that_says_nothing_is_refused(api: Api, body: object) -> None:
    assert codes(await api.post("/v1/attachments", body, 400)) == ["BadRequest"]


async def test_found_services_are_listed_with_where_they_come_from(api: Api) -> None:
    await report(api, services=(FOUND,))
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["metadata"]["name"] == "db"
    assert item["source"] == {"file": "the container engine", "line": 0, "text": ""}
    assert item["status"]["foundBy"] == "the container engine"
    assert item["status"]["address"].startswith("240.240.")


async def test_found_services_are_overridden_but_not_deleted(api: Api) -> None:
    await report(api, services=(FOUND,))
    keys = {"keys": [{"kind": "Service", "namespace": "default", "name": "db"}]}
    (problem,) = (await api.post("/v1/resources/delete", keys, 409))["problems"]
    assert problem["code"] == "ReadOnly"
    assert problem["message"] == (
        "nobody wrote it: it was found by the container engine, and is there as long as its containers"
    )
    files = [{"name": "db.yaml", "text": service("db") + virtual_service("db", to("db"))}]
    await api.post("/v1/resources/apply", {"files": files})
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert (item["source"]["file"], "foundBy" in item["status"]) == ("db.yaml", False)
    await api.post("/v1/resources/delete", keys)
    (item,) = (await api.get("/v1/resources", kind="Service"))["items"]
    assert item["source"]["file"] == "the container engine"


async def test_a_command_runs_beside_a_container_by_the_name_that_its_engine_has(api: Api) -> None:
    context = ExecContext(instance="my-web", namespace="default", env={}, working_dir="/", netns="/proc/1/fd/9")
    await report(api, container("my_web"), instances=(instance("my-web"),), exec_contexts=(context,))
    for name in ("my_web", "my-web"):
        assert (await api.get(f"/v1/workloads/default/{name}/exec"))["netns"] == "/proc/1/fd/9"


async def test_a_container_that_another_shuts_out_is_not_taken_for_it(api: Api) -> None:
    shut_out = ContainerState(id="b" * 64, name="my-web", state="Refused", reason="rename one")
    context = ExecContext(instance="my-web", namespace="default", env={}, working_dir="/")
    both = (container("my_web"), shut_out)
    await report(api, *both, instances=(instance("my-web"),), exec_contexts=(context,))
    assert names(await api.get("/v1/containers", target="my-web")) == ["my-web"]
    assert (await api.get("/v1/workloads/default/my_web/exec"))["instance"] == "my-web"
    (problem,) = (await api.get("/v1/workloads/default/my-web/exec", 409))["problems"]
    assert problem["message"] == "container my-web is not in the mesh: rename one"
    (problem,) = (await api.get("/v1/logs", 409, name="my-web", proxy="true"))["problems"]
    assert problem["code"] == "Outside"


async def test_a_container_outside_has_no_proxy_and_no_place(api: Api) -> None:
    await report(api, container("web", "Outside"), instances=(instance("web", capture="none"),))
    assert codes(await api.get("/v1/workloads/default/web/exec", 409)) == ["Outside"]
    (problem,) = (await api.get("/v1/logs", 409, name="web", proxy="true"))["problems"]
    assert (problem["code"], problem["hint"]) == ("Outside", "attach it: mizzen attach web")


async def test_the_engine_keeps_the_logs_of_containers_and_restarts_them(api: Api) -> None:
    await report(api, container("my_web"), instances=(instance("my-web"),))
    (problem,) = (await api.get("/v1/logs", 409, name="my-web"))["problems"]
    assert (problem["code"], problem["hint"]) == ("ByEngine", "podman logs my_web, or docker logs my_web")
    assert problem["message"] == "my_web: what runs in a container is logged by its engine"
    assert codes(await api.post("/v1/workloads/default/my-web/restart", status=409)) == ["ByEngine"]


async def test_the_log_of_a_seat_is_that_of_the_node_proxy(api: Api) -> None:
    await api.post("/v1/resources/apply", FILES)
    both = ("web.default", NODE_PROXY)
    await report(
        api,
        instances=(instance("web", proxies=both), instance("db", proxies=(NODE_PROXY,))),
        node_proxy=NODE_PROXY,
    )
    api.settings.log_file("mizzen-system", "vm.example.com", proxy=True).write_text("the node's\n")
    api.settings.log_file("default", "web", proxy=True).write_text("its own\n")

    async def logs(**query: str) -> str:
        return (await api.client.get("/v1/logs", params={"proxy": "true"} | query)).text

    assert await logs(name="db") == "the node's\n"
    assert await logs(name="web") == "[web] its own\n[vm.example.com] the node's\n"
    assert await logs(name="vm.example.com", namespace="mizzen-system") == "the node's\n"
    assert codes(await api.get("/v1/logs", 404, name="vm", proxy="true")) == ["NotFound"]
