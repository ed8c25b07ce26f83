"""What goes wrong while a mesh runs: it is told, nothing is half-applied, and everything else goes on."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import small
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

URL = "http://web/"
WEB = small.joined(small.service("web"), small.workload("web", more="  replicas: 2"), small.workload("client"))
TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - timeout: 7s
    route: [{destination: {host: web}}]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("watched") / "mesh.yaml"
    file.write_text(WEB)
    return file


@pytest.fixture(scope="module")
def mesh(file: Path) -> Iterator[Mesh]:
    with running(file) as running_mesh:
        yield running_mesh


@pytest.fixture(autouse=True)
def as_written(mesh: Mesh, file: Path) -> Iterator[None]:
    """After each test the mesh is again as it was at first."""
    before = everything(mesh)
    yield
    file.write_text(WEB)
    eventually(lambda: everything(mesh) == before, "the mesh is as it was")
    eventually(lambda: [one["ready"] for one in instances(mesh).values()] == [True] * 3, "all instances are ready")


def everything(mesh: Mesh) -> list[dict[str, Any]]:
    """All resources as they are in force, without what is said of them."""
    listed = yaml.safe_load_all(mesh.cli("get", "all", "-A", "-o", "yaml").stdout)
    return [{name: value for name, value in document.items() if name != "status"} for document in listed]


def instances(mesh: Mesh) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in mesh.get("/v1/workloads")["items"]}


def assert_served(mesh: Mesh) -> None:
    assert mesh.send("client", URL, 20)["statuses"] == {"200": 20}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        pytest.param(
            TIMEOUT.replace("{host: web}", "{host: web, subset: v9}"),
            "9:47",
            "subset 'v9' of web.*is not defined",
            id="unknown subset",
        ),
        pytest.param(TIMEOUT.replace("timeout", "timout"), "8:5", r"did you mean `timeout`\?", id="unknown field"),
        pytest.param(TIMEOUT.replace("VirtualService", "VirtualServce"), "3:7", "unknown kind", id="unknown kind"),
        pytest.param(TIMEOUT + "  oops\n", "12:1", "not YAML", id="not YAML"),
    ],
)
def test_apply_refuses_a_mistake_and_changes_nothing(mesh: Mesh, text: str, where: str, what: str) -> None:
    """What is right in the same command is refused with it."""
    before, version = everything(mesh), mesh.get("/v1/version")["snapshot"]
    done = mesh.cli("apply", "--wait", "-f", "-", input=text + "\n---\n" + small.service("another"), check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.search(rf"<stdin>:{where}.*error: .*{what}", done.stderr)
    assert everything(mesh) == before
    assert mesh.get("/v1/version")["snapshot"] == version
    assert_served(mesh)


def test_a_resource_of_a_watched_file_is_not_changed_by_apply(mesh: Mesh, file: Path) -> None:
    other = small.service("web").replace("port: 80", "port: 81")
    done = mesh.cli("apply", "-f", "-", input=other, check=False)
    assert done.returncode == 1
    assert f"{file}:" in done.stderr
    done = mesh.cli("delete", "service", "web", check=False)
    assert done.returncode == 1
    assert f"{file}:" in done.stderr


def test_an_edit_takes_effect_without_a_command(mesh: Mesh, file: Path) -> None:
    redirected = TIMEOUT.replace("timeout: 7s", "directResponse: {status: 299}").replace("    route", "    #")
    file.write_text(WEB + "---" + redirected)
    eventually(lambda: mesh.send("client", URL, 5)["statuses"] == {"299": 5}, "the edit is in force")
    file.write_text(WEB)
    eventually(lambda: mesh.send("client", URL, 5)["statuses"] == {"200": 5}, "the edit is taken back")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (WEB.replace("selector:", "selecter:"), "6:3: error: .*unknown field `selecter`"),
        ("apiVersion: v1\n kind: [", "2:6: error: not YAML"),
    ],
)
def test_a_broken_edit_keeps_the_last_good_contents(mesh: Mesh, file: Path, broken: str, told: str) -> None:
    before, names = everything(mesh), set(instances(mesh))
    file.write_text(broken)
    message = rf"{re.escape(str(file))}:{told}"
    eventually(lambda: re.search(message, mesh.cli("status").stderr), "status tells of the mistake")
    assert everything(mesh) == before
    assert set(instances(mesh)) == names
    assert_served(mesh)
    file.write_text(WEB)
    eventually(lambda: "error" not in mesh.cli("status").stderr, "status tells of nothing any more")


def test_a_new_command_that_ends_at_once_takes_nobody_s_place(mesh: Mesh, file: Path) -> None:
    """The old replicas stay until a new one is ready, which never happens."""
    ends = ["sh", "-c", "echo no such table >&2; exit 4"]
    file.write_text(
        WEB.replace(small.workload("web", more="  replicas: 2"), small.workload("web", ends, more="  replicas: 2"))
    )
    row = eventually(lambda: status_row(mesh, "Backoff"), "the new replica is in backoff")
    assert re.search(r"web-\d+\.default +Backoff +no +\d+/0 .*exit code 4: no such table", row)
    old = [one for one in instances(mesh).values() if one["workload"] == "web" and one["ready"]]
    assert len(old) == 2
    assert_served(mesh)
    eventually(lambda: re.search(r"web .*Backoff", mesh.cli("get", "workloads").stdout), "get tells of it, too")
    assert "no such table" in mesh.cli("logs", row.split(".")[0]).stdout


def status_row(mesh: Mesh, word: str) -> str:
    return next((line for line in mesh.cli("status").stdout.splitlines() if word in line), "")


def test_a_local_port_in_use(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = mesh.cli("port-forward", "web", ":http", f"{port}:http", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use",
        "  Choose another port, or any free one with :PORT.",
    ]
