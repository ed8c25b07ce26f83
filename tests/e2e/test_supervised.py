"""A detached node that is killed comes back by itself, and stays away when it was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import MIZZEN, environment
from tests.support.polling import eventually
from tests.support.processes import of_mesh

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A mesh with one workload, detached; nothing of it may run at the end."""
    file = tmp_path / "mesh.yaml"
    file.write_text(small.joined(small.service("web"), small.workload("web")))
    state_dir = tmp_path / "state"
    mizzen(state_dir, "up", str(file), "--detach", "--capture", "explicit")
    yield state_dir
    mizzen(state_dir, "down")
    eventually(lambda: not of_mesh(state_dir), "nothing of the mesh is left", 10)


def mizzen(state_dir: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        [str(MIZZEN), *arguments], env=environment(state_dir), capture_output=True, text=True, check=False, timeout=90
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def node(state_dir: Path) -> int:
    """The process of the node that runs, or 0."""
    file = state_dir / "mesh.json"
    pid = int(json.loads(file.read_text())["pid"]) if file.exists() else 0
    return pid if pid in of_mesh(state_dir) else 0


def call(state_dir: Path) -> str:
    return mizzen(state_dir, "exec", "web", "--", "curl", "-s", "http://web/", check=False)


def test_a_node_that_is_killed_comes_back(state_dir: Path) -> None:
    first = node(state_dir)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: node(state_dir) not in {0, first}, "another node runs")
    eventually(lambda: call(state_dir) == "web", "the workload is served again")
    assert "the node was killed by SIGKILL; it is started again" in (state_dir / "logs" / "node.log").read_text()


def test_who_is_stopped_while_it_comes_back_stays_away(state_dir: Path) -> None:
    os.kill(node(state_dir), signal.SIGKILL)
    assert "stopped" in mizzen(state_dir, "down")
    assert of_mesh(state_dir) == {}
