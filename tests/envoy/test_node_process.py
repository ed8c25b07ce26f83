"""The node as a process of its own: what it says to whoever started it, and that nothing outlives it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mizzen.node.process_table import start_time
from mizzen.settings import Settings

pytestmark = pytest.mark.envoy

MESH = """
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: web, labels: {app: web}}
spec:
  command: [python3, -m, http.server, $(PORT), --bind, 127.0.0.1]
  ports: [{containerPort: 9080, name: http}]
  readinessProbe: {httpGet: {path: /, port: 9080}}
"""


def start(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    (tmp_path / "mesh.yaml").write_text(text)
    settings = Settings("test", tmp_path / "state", (tmp_path / "mesh.yaml",), "explicit")
    line = [sys.executable, "-m", "mizzen.node", "--settings", settings.to_json(), "--events-fd", "1"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def events_until(node: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    assert node.stdout
    events: list[dict[str, Any]] = []
    for line in node.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == kind:
            return events
    raise AssertionError(events)


def test_it_tells_its_events_and_ends_in_order(tmp_path: Path) -> None:
    with start(tmp_path, MESH) as node:
        events = events_until(node, "MeshReady")
        assert [event["event"] for event in events[:2]] == ["MeshStarting", "ControlStarted"]
        assert events[-1]["instances"] == 1
        node.terminate()
        assert events_until(node, "Stopped")[0]["event"] == "Stopping"
        assert node.wait() == 0


def test_what_cannot_start_is_told_and_is_the_exit_code(tmp_path: Path) -> None:
    with start(tmp_path, MESH.replace("python3", "no-such-command")) as node:
        failed = events_until(node, "Failed")[-1]
        assert failed["line"].startswith("Workload default/web: command not found: no-such-command")
        assert node.wait() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_nothing_outlives_a_killed_node(tmp_path: Path) -> None:
    with start(tmp_path, MESH) as node:
        events_until(node, "MeshReady")
        children = [int(file.name) for file in (tmp_path / "state" / "children").iterdir()]
        assert len(children) == 3
        node.kill()
        assert node.stdout
        assert node.stdout.read() == ""
        node.wait()
    while any(start_time(pid) for pid in children):  # the kernel has sent SIGKILL; they need a moment
        pass
    with start(tmp_path, MESH) as node:
        events_until(node, "MeshReady")
        node.terminate()
        assert node.wait() == 0
