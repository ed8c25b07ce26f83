from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakes import StartMesh, run

from mizzen.cli import choosing, detaching, progress
from mizzen.cli.choosing import Choice
from mizzen.cli.starting import Starting, welcome
from mizzen.node.capture.available import Availability
from mizzen.settings import ComposeProject, Settings

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
"""
WORKLOAD = """\
---
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: reviews-v1, labels: {app: reviews}}
spec:
  command: [sleep, "9"]
  ports: [{containerPort: 9080}]
"""
ROUTE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v7}}]
"""

STARTING = {
    "event": "MeshStarting",
    "level": "info",
    "line": "mesh shop is starting",
    "name": "shop",
    "capture": "explicit",
}
READY = {
    "event": "InstanceReady",
    "level": "info",
    "line": "reviews-v1-0 is ready (0.2 s)",
    "namespace": "default",
    "instance": "reviews-v1-0",
}
MESH_READY = {
    "event": "MeshReady",
    "level": "info",
    "line": "mesh is ready: 1 instance in 0.3 s",
    "instances": 1,
    "seconds": 0.3,
}
CRASHED = {
    "event": "InstanceCrashed",
    "level": "error",
    "line": "reviews-v1-0 failed: exit code 1",
    "namespace": "default",
    "instance": "reviews-v1-0",
}
FAILED = {"event": "Failed", "level": "error", "line": "port 9080 is in use"}


class FakeNode:
    """Stands in for ``python -m mizzen.node``: says its events, then ends, or stays until it is told to end."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.stays = False
        self.settings: list[Settings] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        self.settings.append(Settings.from_json(command[command.index("--settings") + 1]))
        descriptor = command[command.index("--events-fd") + 1]
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        stay = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()" if self.stays else ""
        script = f"import os; print('to the log', flush=True); os.write({descriptor}, {lines.encode()!r}); {stay}"
        process = subprocess.Popen([sys.executable, "-c", script], **options)
        self.processes.append(process)
        return process


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    class Module:
        """What detaching.py uses of subprocess."""

        DEVNULL = subprocess.DEVNULL
        fake = FakeNode()
        Popen = fake.popen

    monkeypatch.setattr(detaching, "subprocess", Module)
    return Module.fake


@pytest.fixture
def files() -> Path:
    (Path.cwd() / "mesh").mkdir()
    path = Path.cwd() / "mesh" / "reviews.yaml"
    path.write_text(SERVICE + WORKLOAD)
    return path


def test_files_are_named_as_kubectl_has_it_too(node: FakeNode, files: Path) -> None:
    node.events = [FAILED]
    run("up", "-f", "mesh", "--detach")
    assert [path.name for path in node.settings[0].paths] == ["mesh"]


def test_up_detached_returns_when_the_mesh_is_ready(node: FakeNode, files: Path, home: Path) -> None:
    node.events, node.stays = [STARTING, READY, MESH_READY], True
    result = run("up", "mesh", "--detach", "--name", "shop", "--certificate-lifetime", "1h", "--capture", "explicit")
    node.processes[0].terminate()
    node.processes[0].wait()
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "mesh shop is starting\nreviews-v1-0 is ready (0.2 s)\nmesh is ready: 1 instance in 0.3 s\n"
    )
    assert result.stdout == (
        "Running in mesh shop (explicit capture): reviews-v1-0\n"
        "\n"
        "  mizzen status --name shop                     what runs, and what each proxy has acknowledged\n"
        "  mizzen apply -f FILE --name shop              change routes and policies while it runs\n"
        "  mizzen exec --name shop WORKLOAD -- COMMAND   run a command inside the mesh\n"
        "  mizzen down --name shop                       stop it\n"
    )
    assert node.settings == [
        Settings(
            name="shop",
            state_dir=home / "shop",
            paths=(files.parent,),
            capture="explicit",
            certificate_lifetime=3600.0,
        )
    ]
    assert (home / "shop" / "logs" / "node.log").read_text() == "to the log\n"
    assert choosing.described(Choice("shop")).state_dir == home / "shop"


def test_a_compose_file_is_for_compose(
    node: FakeNode, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"event": "ComposeSaid", "level": "info", "line": "  Creating web ... done"}
    node.events, node.stays = [STARTING, said, MESH_READY], True
    compose, engine = tmp_path / "own", tmp_path / "engine.sock"
    compose.write_text("#!/bin/sh\ntest $1 = version || echo 'name: shop'\n")
    compose.chmod(0o755)
    engine.touch()
    Path("compose.yaml").write_text("services: {web: {image: web}}\n")
    monkeypatch.setattr("mizzen.node.capture.available.availability", Availability)
    options = ("--engine", str(engine), "--compose-command", str(compose))
    result = run("up", "mesh", "compose.yaml", "--detach", *options)
    node.processes[0].terminate()
    node.processes[0].wait()
    assert result.exit_code == 0, result.output
    assert "  Creating web ... done\nmesh is ready" in result.stderr
    assert "  mizzen containers " in result.stdout
    (settings,) = node.settings
    assert (settings.paths, settings.engine) == ((files.parent,), str(engine))
    assert settings.compose == (ComposeProject("shop", (str(compose), "-p", "shop", "-f", "compose.yaml")),)


def test_an_engine_that_is_not_there_is_told_at_once(node: FakeNode, files: Path) -> None:
    result = run("up", "mesh", "--containers", "--engine", "/no/such.sock")
    assert result.exit_code == 2
    assert "Path '/no/such.sock' does not exist" in result.stderr
    assert node.settings == []


def test_up_detached_passes_on_why_the_node_failed(node: FakeNode, files: Path) -> None:
    node.events = [STARTING, FAILED]
    result = run("up", "mesh", "--detach")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "mesh shop is starting\nerror: port 9080 is in use\n"


def test_up_detached_says_that_a_node_ended_without_a_word(node: FakeNode, files: Path, home: Path) -> None:
    result = run("up", "mesh", "--detach")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: the node ended with code 0 before the mesh was ready; its output is in {home}/default/logs/node.log\n"
    )


def test_up_detached_does_not_wait_for_ever(node: FakeNode, files: Path) -> None:
    node.events, node.stays = [CRASHED], True
    result = run("up", "mesh", "--detach", "--timeout", "1s")
    node.processes[0].terminate()
    node.processes[0].wait()
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "error: the mesh is not ready in time, and goes on starting (see: mizzen status; stop it with: mizzen down);"
        " last: reviews-v1-0 failed: exit code 1\n"
    )


def test_who_interrupts_a_start_is_told_that_nothing_runs(
    node: FakeNode, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: Starting, _event: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Starting, "show", interrupt)
    node.events, node.stays = [STARTING], True
    result = run("up", "mesh", "--detach")
    assert (result.exit_code, result.stderr) == (130, "mesh default was stopped; nothing of it runs any more\n\n")
    assert node.processes[0].returncode is not None


def test_nothing_starts_where_a_file_has_an_error(node: FakeNode, files: Path) -> None:
    files.write_text(SERVICE.replace("selector", "selektor"))
    result = run("up", "mesh", "--detach")
    assert result.exit_code == 1
    assert result.stderr.startswith("mesh/reviews.yaml:5:3: error: Service default/reviews: spec.selektor: ")
    assert result.stderr.endswith("error: 1 error; nothing was started\n")
    assert node.settings == []


def test_commands_that_are_not_there_are_found_before_anything_starts(node: FakeNode, files: Path) -> None:
    files.write_text(SERVICE + WORKLOAD.replace("sleep", "slepp") + WORKLOAD.replace("reviews-v1", "ratings-v1"))
    elsewhere = WORKLOAD.replace("reviews-v1", "more").replace("spec:", "spec:\n  workingDir: gone")
    (files.parent / "more.yaml").write_text(elsewhere)
    result = run("up", "mesh", "--detach")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith(
        "mesh/more.yaml:6:15: error: Workload default/more: spec.workingDir: the working directory "
    )
    assert lines[1].startswith(
        "mesh/reviews.yaml:12:13: error: Workload default/reviews-v1: spec.command[0]: command not found: slepp ("
    )
    assert lines[2:] == ["error: 2 errors; nothing was started"]
    assert node.settings == []


def test_a_reference_to_nothing_is_an_error_where_nothing_was_applied_before(
    node: FakeNode, files: Path, home: Path
) -> None:
    files.write_text(SERVICE + WORKLOAD + ROUTE)
    result = run("up", "mesh", "--detach")
    assert result.exit_code == 1
    assert "mesh/reviews.yaml:21:" in result.stderr
    assert result.stderr.endswith("error: 1 error; nothing was started\n")
    (home / "default").mkdir(parents=True)
    (home / "default" / "mizzen.db").touch()
    node.events = [FAILED]
    assert "mesh/reviews.yaml:21:" in run("up", "mesh", "--detach").stderr
    assert len(node.settings) == 1


def test_a_path_that_does_not_exist(node: FakeNode) -> None:
    result = run("up", "gone", "--detach")
    assert result.exit_code == 1
    assert "gone: No such file or directory" in result.stderr


def test_a_mesh_of_that_name_runs_already(start_mesh: StartMesh, files: Path, tmp_path: Path) -> None:
    folder = start_mesh("shop")
    expected = (
        f"error: mesh shop runs already (process {os.getpid()}, state directory {folder})\n"
        "  Stop it with: mizzen down --name shop; or choose another %s.\n"
    )
    assert run("up", "mesh", "--name", "shop").stderr == expected % "--name"
    assert run("up", "mesh", "--name", "shop", "--state-dir", str(tmp_path / "other")).stderr == expected % "--name"
    both = "--name and another --state-dir"
    assert run("up", "mesh", "--name", "shop", "--state-dir", str(folder)).stderr == expected % both
    assert run("up", "mesh", "--name", "other", "--state-dir", str(folder)).stderr == expected % "--state-dir"


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"],
        ["up", "mesh", "--capture", "magic"],
        ["up", "mesh", "--trust-domain", "Not A Domain"],
        ["up", "mesh", "--locality", "eu/a/1/2"],
        ["up", "mesh", "--certificate-lifetime", "10ms"],
    ],
)
def test_wrong_usage(node: FakeNode, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
    assert node.settings == []


def test_in_the_foreground_ctrl_c_is_how_to_stop(tmp_path: Path) -> None:
    settings = Settings("default", tmp_path)
    assert welcome(settings, "transparent", [], {}, detached=False).splitlines() == [
        "Running in mesh default (transparent capture): no workload yet",
        "",
        "  mizzen status                     what runs, and what each proxy has acknowledged",
        "  mizzen apply -f FILE              change routes and policies while it runs",
        "  mizzen exec WORKLOAD -- COMMAND   run a command inside the mesh",
        "  Ctrl-C                            stop it",
    ]


def test_where_gateways_are_called_stands_above_the_commands(tmp_path: Path) -> None:
    urls = {("edge-0", 443): "https://127.0.0.1:8443", ("edge-0", 80): "http://127.0.0.1:8080", ("edge-0", 81): ""}
    lines = welcome(Settings("default", tmp_path), "explicit", ["edge-0"], urls, detached=True).splitlines()
    assert lines[1:4] == [
        "Gateway edge-0: port 80 at http://127.0.0.1:8080",
        "Gateway edge-0: port 443 at https://127.0.0.1:8443",
        "",
    ]


def test_a_mesh_of_containers_says_where_to_look_at_them(tmp_path: Path) -> None:
    lines = welcome(Settings("shop", tmp_path, containers=True), "explicit", [], {}, detached=True).splitlines()
    command, _, purpose = lines[3].strip().partition("   ")
    assert command == "mizzen containers --name shop"
    assert purpose.strip() == "which containers are in the mesh, and why others are not"


def test_the_picture_of_a_start_goes_when_the_mesh_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    picture = progress.Picture()
    said = READY | {"event": "ComposeSaid", "line": "  Creating web ... done"}
    for event in (STARTING, READY | {"event": "InstanceStarting"}, said, CRASHED, READY):
        picture.show(event)
    drawn = picture._states
    assert drawn == {"reviews-v1-0": "ready"}
    picture.show(MESH_READY)
    picture.show(READY | {"event": "InstanceDraining", "line": "reviews-v1-0 is draining"})
    picture.close()
    printed = capsys.readouterr().err
    assert "  Creating web ... done\n" in printed
    assert "warning: reviews-v1-0 failed: exit code 1" in printed
    assert printed.endswith("mesh is ready: 1 instance in 0.3 s\nreviews-v1-0 is draining\n")


def test_a_problem_of_a_resource_says_itself_how_bad_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{Path.cwd()}/shop.yaml:3:1: error: not YAML"
    progress.print_line({"event": "ResourceProblem", "level": "warning", "line": line})
    assert capsys.readouterr().err == "shop.yaml:3:1: error: not YAML\n"
