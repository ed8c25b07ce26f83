"""Applications and proxies that crash under load are started again, and callers hardly notice."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support import small
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

URL = "http://web/"
WEB = small.joined(small.service("web"), small.workload("web", more="  replicas: 2"), small.workload("client"))
# How many requests may fail: those that a killed process was working on, or was sent before all callers knew.
LOST = 15


@pytest.fixture(scope="module", params=CAPTURES)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Two replicas of web, and a client."""
    file = tmp_path_factory.mktemp("crashes") / "mesh.yaml"
    file.write_text(WEB)
    with running(file, capture=request.param) as running_mesh:
        yield running_mesh


def instances(mesh: Mesh) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in mesh.get("/v1/workloads")["items"]}


@pytest.mark.parametrize(("process", "counter"), [("pid", "restarts"), ("proxyPid", "proxyRestarts")])
def test_a_crash_of_one_replica_under_load(mesh: Mesh, process: str, counter: str) -> None:
    before = instances(mesh)["web-0"]
    with mesh.load("client", URL) as load:
        os.kill(before[process], signal.SIGKILL)
        eventually(lambda: not instances(mesh)["web-0"]["ready"], "the replica is not ready")
        after = eventually(lambda: restarted(mesh, process, before[process]), "it is started again and ready")
    assert after[counter] == before[counter] + 1
    if process == "pid" or not mesh.one_proxy:  # else the client's own proxy is gone with it, and refuses meanwhile
        sent, answered = load.result["sent"], load.result["statuses"]["200"]
        assert answered >= 20, load.result
        assert sent - answered <= LOST, load.result
    if process == "pid":
        who = "web-0 failed: "
    else:
        who = f"{'.mizzen-system' if mesh.one_proxy else 'web-0'}: proxy failed: Envoy ended: "
    assert any(f"{who}killed by SIGKILL" in line for line in mesh.lines)
    counts = f"{after['restarts']}/{after['proxyRestarts']}"
    assert re.search(rf"web-0\.default +Running +yes +{counts} ", mesh.cli("status").stdout)
    assert mesh.send("client", URL, 20)["statuses"] == {"200": 20}


def restarted(mesh: Mesh, process: str, killed: int) -> dict[str, Any]:
    """Returns web-0 when it is ready with another process, until then nothing."""
    now = instances(mesh)["web-0"]
    return now if now["ready"] and now[process] not in (0, killed) else {}
