from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest
from tests.support.proxies import PlayedProxy
from tests.support.worlds import instances_of, read
from tests.support.written import service, service_entry, to, virtual_service
from tests.unit.control.apis import FILES, TEXTS, Api, codes

from mizzen.control.api.nodes import _desired
from mizzen.registry.reports import Desired, ExecContext, Report
from mizzen.xds.status import Rejection, Standing


async def test_version(api: Api) -> None:
    said = await api.get("/v1/version")
    assert said | {"version": "", "snapshot": 0} == {
        "version": "",
        "envoy": "1.40.0",
        "mesh": "test",
        "snapshot": 0,
        "capture": "explicit",
        "trustDomain": "cluster.local",
        "ready": True,
    }


async def test_apply_list_delete(api: Api) -> None:
    applied = await api.post("/v1/resources/apply", FILES)
    assert {one["kind"]: one["action"] for one in applied["results"]} == {"Service": "created", "Workload": "created"}
    listed = await api.get("/v1/resources", kind="Service")
    (item,) = listed["items"]
    assert item["metadata"]["name"] == "a"
    assert item["spec"]["ports"] == [{"name": "http", "port": 9080}]
    assert item["source"]["file"] == "a.yaml"
    assert item["status"]["conditions"] == [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}]
    assert item["status"]["address"].startswith("240.240.")
    assert (await api.get("/v1/resources", name="nothing"))["items"] == []
    key = {"kind": "Service", "namespace": "default", "name": "a"}
    assert (await api.post("/v1/resources/delete", {"keys": [key]}))["results"] == [{**key, "action": "deleted"}]
    assert codes(await api.post("/v1/resources/delete", {"keys": [key]}, 404))
    history = await api.get("/v1/resources/history", kind="Service", namespace="default", name="a")
    assert [one["action"] for one in history["items"]] == ["deleted", "created"]


async def test_a_service_entry_says_which_addresses_its_hosts_have(api: Api) -> None:
    entry = service_entry("api", resolution="DNS")
    await api.post("/v1/resources/apply", {"files": [{"name": "e.yaml", "text": entry}]})
    (item,) = (await api.get("/v1/resources", kind="ServiceEntry"))["items"]
    (address,) = item["status"]["addresses"]
    assert address["host"] == "api.example.com"
    assert address["value"].startswith("240.240.")


async def test_a_change_that_is_refused_says_where(api: Api) -> None:
    bad = virtual_service("a", to("a", "v9"))
    refused = await api.post("/v1/resources/apply", {"files": [*FILES["files"], {"name": "b.yaml", "text": bad}]}, 422)
    problem, last = refused["problems"]
    assert (problem["code"], last["code"]) == ("IST0101", "Refused")
    assert problem["position"]["file"] == "b.yaml"
    assert problem["resource"] == {"kind": "VirtualService", "namespace": "default", "name": "a"}
    assert (await api.get("/v1/resources"))["items"] == []
    forced = {"files": [*FILES["files"], {"name": "b.yaml", "text": bad}], "force": True}
    assert [one["code"] for one in (await api.post("/v1/resources/apply", forced))["warnings"]] == ["IST0101"]


async def test_a_dry_run_changes_nothing(api: Api) -> None:
    assert (await api.post("/v1/resources/apply", {**FILES, "dryRun": True}))["results"]
    assert (await api.get("/v1/resources"))["items"] == []


async def test_what_names_no_namespace_gets_the_one_that_is_said(api: Api) -> None:
    unnamed = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80}]}\n"
    named = (unnamed % "b").replace("name: b", "name: b, namespace: elsewhere")
    files = [{"name": "a.yaml", "text": unnamed % "a"}, {"name": "b.yaml", "text": named}]
    applied = await api.post("/v1/resources/apply", {"files": files, "namespace": "shop"})
    assert {one["name"]: one["namespace"] for one in applied["results"]} == {"a": "shop", "b": "elsewhere"}
    listed = await api.get("/v1/resources", namespace="shop")
    assert [one["metadata"]["namespace"] for one in listed["items"]] == ["shop"]


@pytest.mark.parametrize("body", ["nonsense", {"files": [{"name": 1}]}, {"files": 3}, []])
async def test_a_body_that_does_not_follow_the_api(api: Api, body: object) -> None:
    assert codes(await api.post("/v1/resources/apply", body, 400)) == ["BadRequest"]


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000])
async def test_a_body_that_is_no_json(api: Api, body: bytes) -> None:
    said = await api.client.post("/v1/resources/apply", content=body)
    assert (said.status_code, codes(said.json())) == (400, ["BadRequest"])


async def test_what_is_set_aside_is_not_accepted(api: Api) -> None:
    text = "".join((*TEXTS, virtual_service("a")))
    applied = await api.post("/v1/resources/apply", {"files": [{"name": "a.yaml", "text": text}]})
    published = await api.world.included(0)
    origins = tuple(key for key in published.contents.resources if key.kind == "VirtualService")
    api.world.reject(Rejection("a-0.default", "RDS", "9080", "x", "bad regex", applied["version"], origins))
    await api.world.rejections()
    (item,) = (await api.get("/v1/resources", kind="VirtualService"))["items"]
    (condition,) = item["status"]["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "RejectedByEnvoy", "bad regex")
    (told,) = (await api.get(f"/v1/versions/{applied['version']}"))["rejected"]
    assert (told["resource"], told["message"]) == ("VirtualService default/a", "bad regex")
    assert told["position"].startswith("a.yaml:")


async def test_a_proxy_on_its_way_past_what_it_rejected_is_waited_for(api: Api) -> None:
    """Envoy may reject next what it did not come to before; it has forgotten the first by then."""
    text = "".join((*TEXTS, service("b"), virtual_service("a"), virtual_service("b")))
    version = (await api.post("/v1/resources/apply", {"files": [{"name": "a.yaml", "text": text}]}))["version"]
    published = await api.world.included(0)
    origins = {key.name: key for key in published.contents.resources if key.kind == "VirtualService"}

    async def rejects(name: str) -> int:
        """Returns the version without what was rejected; the proxy is on its way to it."""
        target = (await api.world.included(0)).snapshot.version
        api.world.reject(Rejection("a-0.default", "RDS", "9080", "x", f"bad {name}", target, (origins[name],)))
        newer = (await api.world.rejections()).snapshot.version
        proxy.now = Standing(newer, {"RDS": newer}, ())
        api.fleet.notify()
        return newer

    proxy = PlayedProxy("a-0.default", Standing(None, {}, ()))
    api.fleet.join(proxy)
    await rejects("a")
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(api.get(f"/v1/versions/{version}", timeout="20"))
        await asyncio.sleep(0.1)
        assert not waits.done()
        newest = await rejects("b")
        proxy.now = Standing(newest, {}, ())
        api.fleet.notify()
    assert sorted(one["message"] for one in waits.result()["rejected"]) == ["bad a", "bad b"]


async def test_a_node_reports_and_asks_what_to_run(api: Api) -> None:
    await api.post("/v1/resources/apply", FILES)
    version = await api.put_report()
    workloads = (await api.get("/v1/workloads"))["items"]
    assert [one["name"] for one in workloads] == ["a-0", "a-1"]
    assert workloads[0]["ports"][0]["inbound"] == 20001
    # The stream never ends, which a client inside the same process cannot take part of.
    line = await anext(_desired(api.world))
    desired = msgspec.json.decode(line, type=Desired)
    assert (desired.version, [one.name for one in desired.workloads]) == (version, ["a"])
    proxies = (await api.get("/v1/proxies"))["items"]
    assert [(one["id"], one["connected"]) for one in proxies] == [("a-0.default", False), ("a-1.default", False)]


@pytest.mark.parametrize("body", [b'{"instances": 1}', b'{"x":' * 100_000])
async def test_a_report_that_is_none(api: Api, body: bytes) -> None:
    said = await api.client.put("/v1/node/report", content=body)
    assert said.status_code == 400


@pytest.mark.parametrize("account", ["", "a/b", "*"])
async def test_a_certificate_for_no_identity_is_refused(api: Api, account: str) -> None:
    wish = {"csr": "nonsense", "namespace": "default", "serviceAccount": account or "default"}
    assert codes(await api.post("/v1/node/certificates", wish, 400)) == ["BadRequest"]


async def test_waiting_for_a_version(api: Api) -> None:
    version = (await api.post("/v1/resources/apply", FILES))["version"]
    assert await api.get(f"/v1/versions/{version}", timeout="5") == {
        "version": version,
        "synced": [],
        "pending": [],
        "rejected": [],
    }
    for timeout in ("soon", "nan"):
        assert codes(await api.get(f"/v1/versions/{version}", 400, timeout=timeout)) == ["BadRequest"]


async def test_a_proxy_that_runs_and_is_not_connected_has_not_acknowledged(api: Api) -> None:
    """After a restart of the control plane no proxy is connected, and each goes on with what it has."""
    await api.post("/v1/resources/apply", FILES)
    running, starting = (
        msgspec.structs.replace(instance, phase=phase, proxy_pid=7)
        for instance, phase in zip(instances_of(read(*TEXTS)), ("Running", "Starting"), strict=True)
    )
    published = await api.world.included(api.world.put_report(Report(node="n", instances=(running, starting))))
    answer = await api.get(f"/v1/versions/{published.snapshot.version}")
    assert answer["pending"] == [{"proxy": "a-0.default", "types": []}]


async def test_a_version_that_only_a_killed_control_plane_knew_is_that_of_now(api: Api) -> None:
    version = (await api.post("/v1/resources/apply", FILES))["version"]
    assert (await api.get(f"/v1/versions/{version + 7}", timeout="60"))["version"] == version


async def test_a_command_runs_beside_the_first_ready_replica(api: Api) -> None:
    contexts = tuple(
        ExecContext(instance=name, namespace="default", env={"A": "b"}, working_dir="/") for name in ("a-0", "a-1")
    )
    await api.put_report(exec_contexts=contexts)
    assert (await api.get("/v1/workloads/default/a/exec"))["instance"] == "a-0"
    assert (await api.get("/v1/workloads/default/a-1/exec"))["instance"] == "a-1"
    assert codes(await api.get("/v1/workloads/far/a/exec", 404)) == ["NotFound"]


async def test_a_restart_is_asked_for_by_the_workload(api: Api) -> None:
    await api.post("/v1/resources/apply", FILES)
    await api.post("/v1/workloads/default/a/restart")
    published = await api.world.included(0)
    assert published.desired.workloads[0].restarts == 1
    assert codes(await api.post("/v1/workloads/default/b/restart", status=404)) == ["NotFound"]


async def test_logs_of_a_workload_and_of_a_replica(api: Api) -> None:
    await api.put_report()
    for name in ("a-0", "a-1"):
        api.settings.log_file("default", name).write_text(f"one\n{name}\n")
    api.settings.log_file("default", "a-0", proxy=True).write_text("envoy\n")

    async def logs(**query: str) -> str:
        return (await api.client.get("/v1/logs", params=query)).text

    assert await logs(name="a-0") == "one\na-0\n"
    assert await logs(name="a", tail="1") == "[a-0] a-0\n[a-1] a-1\n"
    assert await logs(name="a-0", proxy="true") == "envoy\n"
    assert codes(await api.get("/v1/logs", 404, name="b")) == ["NotFound"]
    assert codes(await api.get("/v1/logs", 400, name="a", tail="many")) == ["BadRequest"]


async def test_an_envoy_that_is_not_there(api: Api) -> None:
    assert codes(await api.get("/v1/proxies/b-0.default/admin/stats", 404)) == ["NotFound"]
    await api.put_report()
    assert codes(await api.get("/v1/proxies/a-0.default/admin/stats", 502)) == ["ProxyUnreachable"]


async def test_a_get_is_passed_to_an_envoy(api: Api) -> None:
    async def envoy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(path), path))
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    await api.put_report(node_proxy="vm.example.com.mizzen-system")
    api.settings.sockets.mkdir(exist_ok=True)
    for name, namespace in (("a-0", "default"), ("vm.example.com", "mizzen-system")):
        socket = str(api.settings.admin_socket(namespace, name))
        async with await asyncio.start_unix_server(envoy, socket):
            said = await api.client.get(f"/v1/proxies/{name}.{namespace}/admin/clusters?format=json")
        assert (said.status_code, said.text) == (200, "/clusters?format=json")
