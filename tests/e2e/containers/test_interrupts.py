"""However a mesh of containers ends, it leaves them as they were, or the next command does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.containers.inventory import KEPT, difference, inventory, settled
from tests.support.applications import small_container
from tests.support.containers import Engine, engine
from tests.support.meshes import MIZZEN, environment, read_until, running, start
from tests.support.processes import of_mesh

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(120),
]

NAMES = ("web", "client")


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network("shop")
        for name in NAMES:
            small_container(made, name, "shop")
        yield made


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
@pytest.mark.parametrize(
    "moment", ["mesh test is starting", "control plane is up", "(web|client) is starting", "(web|client) is ready"]
)
def test_an_interrupt_while_starting(podman: Engine, tmp_path: Path, moment: str, mode: str) -> None:
    before = settled(podman, *NAMES)
    state_dir = tmp_path / "state"
    process = start([], state_dir, capture=mode, engine=podman)
    read_until(process, moment)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == "stopped"
    assert "Traceback" not in output
    assert of_mesh(state_dir) == {}
    assert difference(before, inventory(podman, *NAMES)) == {}


def test_a_start_after_an_interrupt(podman: Engine, tmp_path: Path) -> None:
    process = start([], tmp_path / "state", capture="container-sidecar", engine=podman)
    read_until(process, "control plane is up")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    with running(capture="container-sidecar", engine=podman, state_dir=tmp_path / "state") as mesh:
        assert mesh.send("client", "http://web:8080/", 5)["statuses"] == {"200": 5}


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
def test_down_removes_what_a_killed_mesh_has_left(podman: Engine, tmp_path: Path, mode: str) -> None:
    before = settled(podman, *NAMES)
    state_dir = tmp_path / "state"
    process = start([], state_dir, capture=mode, engine=podman)
    read_until(process, "mesh is ready")
    process.kill()
    process.communicate()
    assert list((podman.folder / "hooks").iterdir())
    status = command(podman, state_dir, "status")
    assert status.returncode == 1
    assert status.stderr.startswith(f"error: mesh test was killed: its node (process {process.pid}) has ended")
    down = command(podman, state_dir, "down")
    assert (down.returncode, down.stdout) == (0, "mesh test was killed; what it had left is removed\n"), down.stderr
    assert difference(before, inventory(podman, *NAMES)) == {}
    # The database's last changes, which nobody has moved into it.
    assert {file.name for file in state_dir.iterdir()} - {"mizzen.db-wal", "mizzen.db-shm"} == KEPT
    assert not list((podman.folder / "hooks").iterdir())
    assert command(podman, state_dir, "down").stderr == "mesh test is not running\n"


def command(podman: Engine, state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = podman.host.command(str(MIZZEN), *arguments, "--name", "test")
    env = environment(state_dir) | podman.environment
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)
