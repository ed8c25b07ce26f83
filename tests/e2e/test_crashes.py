"""Applications and proxies that crash under load are started again, and callers hardly notice."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support import small
from tests.support.meshes import Mesh
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

SERVERS = (small.Server("web", replicas=2), small.Server("client"))
URL = f"http://web:{small.PORT}/"
# How many requests may fail: those that a killed process was working on, or was sent before all callers knew.
LOST = 15


@pytest.fixture(scope="module", params=RUNTIMES)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Two replicas of web, and a client."""
    with small.running_servers(*SERVERS, capture=request.param, folder=tmp_path_factory.mktemp("crashes")) as running:
        yield running


def instances(mesh: Mesh) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in mesh.get("/v1/workloads")["items"]}


@pytest.mark.parametrize("process", ["pid", "proxyPid"])
def test_a_crash_of_one_replica_under_load(mesh: Mesh, process: str) -> None:
    before = instances(mesh)["web-0"]
    with mesh.load("client-0", URL) as load:
        os.kill(before[process], signal.SIGKILL)
        eventually(lambda: not ready(mesh), "the replica is not ready")
        if mesh.engine and process == "pid":
            mesh.engine.start("web-0")  # containers are not the mesh's to start
        after = eventually(lambda: restarted(mesh, process, before[process]), "it is started again and ready")
    if process == "pid" or not mesh.one_proxy:  # else the client's own proxy is gone with it, and refuses meanwhile
        sent, answered = load.result["sent"], load.result["statuses"]["200"]
        assert answered >= 20, load.result
        assert sent - answered <= LOST, load.result
    if process == "proxyPid":
        assert_counted(mesh, before, after, "proxyRestarts")
        who = f"{'.mizzen-system' if mesh.one_proxy else 'web-0'}: proxy failed: Envoy ended"
        assert any(f"{who}: killed by SIGKILL" in line for line in mesh.lines)
    elif not mesh.of_containers:
        assert_counted(mesh, before, after, "restarts")
        assert any("web-0 failed: killed by SIGKILL" in line for line in mesh.lines)
    assert mesh.send("client-0", URL, 20)["statuses"] == {"200": 20}


def assert_counted(mesh: Mesh, before: dict[str, Any], after: dict[str, Any], counter: str) -> None:
    assert after[counter] == before[counter] + 1
    counts = f"{after['restarts']}/{after['proxyRestarts']}"
    assert re.search(rf"web-0\.default +Running +yes +{counts} ", mesh.cli("status").stdout)


def ready(mesh: Mesh) -> bool:
    return any(one["ready"] for name, one in instances(mesh).items() if name == "web-0")


def restarted(mesh: Mesh, process: str, killed: int) -> dict[str, Any]:
    """Returns web-0 when it is ready with another process, until then nothing."""
    now = instances(mesh).get("web-0", {"ready": False})
    return now if now["ready"] and now[process] not in (0, killed) else {}
