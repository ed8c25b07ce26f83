"""A mesh to measure: `mizzen up` in a process of its own, and its API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support.containers import Engine

from bench.ending import ended
from mizzen.settings import Settings

MIZZEN = Path(sys.executable).with_name("mizzen")
ROOT = Path(__file__).parent.parent
BOOKINFO = ROOT / "examples" / "bookinfo"


@dataclass(frozen=True)
class Mesh:
    """A mesh that runs or is about to."""

    settings: Settings
    capture: str
    env: dict[str, str]

    def client(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self.settings.api_socket), verify=False)
        return httpx2.Client(transport=transport, base_url="http://mizzen", timeout=60)

    def get(self, path: str) -> Any:
        with self.client() as client:
            response = client.get(path)
            response.raise_for_status()
            return response.json()

    def instances(self) -> dict[str, dict[str, Any]]:
        """Returns the instances by name, as the API has them."""
        return {one["name"]: one for one in self.get("/v1/workloads")["items"]}

    def exec_command(self, workload: str, *command: str) -> list[str]:
        return [str(MIZZEN), "exec", workload, "--", *command]

    @property
    def node_pid(self) -> int:
        return int(json.loads(self.settings.mesh_file.read_text())["pid"])

    @property
    def control_pid(self) -> int:
        """The process of the control plane, a child of the node's."""
        children = Path(f"/proc/{self.node_pid}/task/{self.node_pid}/children").read_text().split()
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        return next(pid for pid, line in lines.items() if b"mizzen.control" in line)


@contextlib.contextmanager
def starting(
    paths: Sequence[Path], capture: str, *options: str, engine: Engine | None = None
) -> Iterator[tuple[Mesh, subprocess.Popen[str]]]:
    """Starts a mesh with a state directory of its own; it ends with the context. Its events come through the pipe.

    With an ``engine`` it runs on the engine's host, and finds its containers.
    """
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as folder:
        state = Path(folder, "state")
        own = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
        line = [str(MIZZEN), "up", *map(str, paths), "--name", "bench", "--capture", capture, *options]
        env = own | {"MIZZEN_STATE_DIR": str(state), "XDG_STATE_HOME": folder, "NO_COLOR": "1", "COLUMNS": "200"}
        process = subprocess.Popen(
            engine.host.command(*line) if engine else line,
            env=env | (engine.environment if engine else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        with ended(process, signal.SIGINT):
            yield Mesh(Settings(name="bench", state_dir=state), capture, env), process


@contextlib.contextmanager
def running(paths: Sequence[Path], capture: str, *options: str, engine: Engine | None = None) -> Iterator[Mesh]:
    """Runs a mesh, from its readiness to the end of the context; see :func:`starting`."""
    with starting(paths, capture, *options, engine=engine) as (mesh, process):
        await_ready(process)
        yield mesh


def await_ready(process: subprocess.Popen[str]) -> None:
    """Returns when the mesh says that it is ready; raises RuntimeError with what it said if it ends before."""
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("mesh is ready"):
            return
    raise RuntimeError("the mesh did not start:\n" + "".join(said))
