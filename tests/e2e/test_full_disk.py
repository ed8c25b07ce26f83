"""A full disk: a mesh does not start half-way, one that runs goes on, and both say so; with space again all is well."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import MIZZEN, Mesh, environment, read_until, running, start
from tests.support.polling import eventually
from tests.support.processes import of_mesh

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(120)]

WEB = small.joined(small.service("web"), small.workload("web"))
SIZE = 400
PROGRESS = ("mesh test is starting, capture is explicit", "stopped")
TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - timeout: %ds
    route: [{destination: {host: web}}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mesh.yaml"
    file.write_text(WEB)
    return file


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}k", "mizzen-test", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fills the disk but for some KiB; returns the file to remove."""
    ballast = disk / "ballast"
    facts = os.statvfs(disk)
    ballast.write_bytes(b"x" * (facts.f_bavail * facts.f_frsize - left * 1024))
    return ballast


@pytest.mark.parametrize("left", [0, 8, 32])
def test_a_full_disk(file: Path, disk: Path, left: int) -> None:
    """Wherever it is found out, one message names the file; and as soon as there is space the mesh starts."""
    state_dir = disk / "state"
    ballast = fill(disk, left)
    process = start([file], state_dir)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert of_mesh(state_dir) == {}
    complaint, *more = (line for line in output.splitlines() if line not in PROGRESS)
    assert re.match(rf"error: .*{re.escape(str(disk))}/\S*.*(No space left on device|is full)", complaint)
    assert all(line.startswith("  ") for line in more)
    ballast.unlink()
    with running(file, state_dir=state_dir) as mesh:
        assert "1 of 1 instance ready" in mesh.cli("status").stdout


def test_a_disk_that_fills_up_while_the_mesh_starts(file: Path, disk: Path) -> None:
    """What can be done without the disk goes on; what cannot waits for space, and says so."""
    state_dir = disk / "state"
    ballast = fill(disk, 96)
    process = start([file], state_dir)
    seen = read_until(
        process, r"warning: no certificate for .*authority.json: cannot be written: No space left on device"
    )
    assert "StateNotRemembered" in problems(state_dir)
    ballast.unlink()
    seen += read_until(process, "mesh is ready")
    eventually(lambda: "StateNotRemembered" not in problems(state_dir), "the state is remembered")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, seen + output


def problems(state_dir: Path) -> str:
    status = [str(MIZZEN), "status"]
    return subprocess.run(status, env=environment(state_dir), capture_output=True, text=True, check=True).stderr


@pytest.fixture
def mesh(file: Path, disk: Path) -> Iterator[Mesh]:
    with running(file, state_dir=disk / "state") as running_mesh:
        yield running_mesh


def test_a_disk_that_fills_up_while_the_mesh_runs(mesh: Mesh, disk: Path) -> None:
    mesh.apply_text(TIMEOUT % 7)
    before = mesh.get("/v1/resources", kind="VirtualService")["items"][0]["spec"]
    ballast = fill(disk, 0)
    # One change may still find room in the write-ahead log; many do not.
    many = small.joined(*(small.service(f"another-{number}") for number in range(100)))
    done = mesh.apply_text(TIMEOUT % 8 + "---" + many, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(
        rf"error: the disk that holds {disk}/\S+ is full; nothing was changed \(free some space", done.stderr
    )
    assert [one["spec"] for one in mesh.get("/v1/resources", kind="VirtualService")["items"]] == [before]

    # What runs goes on, crashes included, and is served by another control plane.
    (crashed,) = mesh.get("/v1/workloads")["items"]
    os.kill(crashed["pid"], signal.SIGKILL)
    eventually(lambda: is_restarted(mesh, crashed["pid"]), "the application is started again")
    mesh.kill_control()
    assert mesh.send("web", "http://web/", 5)["statuses"] == {"200": 5}

    ballast.unlink()
    mesh.apply_text(TIMEOUT % 9)
    assert "9s" in mesh.cli("get", "virtualservice", "web", "-o", "yaml").stdout


def is_restarted(mesh: Mesh, killed: int) -> bool:
    (now,) = mesh.get("/v1/workloads")["items"]
    return bool(now["ready"]) and now["pid"] not in (0, killed)
