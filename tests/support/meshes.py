"""Whole meshes for tests: `mizzen up` in a process of its own, driven by the command line and the API as users do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from click.testing import CliRunner
from tests.support import containers
from tests.support.applications import bookinfo_containers
from tests.support.containers import Engine
from tests.support.loads import Load, command_of, running_load
from tests.support.polling import eventually
from tests.support.processes import child_of

from mizzen.cli.application import application
from mizzen.settings import Settings

ROOT = Path(__file__).parent.parent.parent
BOOKINFO = ROOT / "examples" / "bookinfo"
MIZZEN = Path(sys.executable).with_name("mizzen")
START_SECONDS = 60


@dataclass
class Mesh:
    """A mesh that runs; ``lines`` is what `mizzen up` has printed so far.

    ``capture`` is the runtime that it was started in (see :func:`running`). One of containers has their ``engine``, and
    runs on the engine's host.
    """

    settings: Settings
    process: subprocess.Popen[str]
    capture: str
    engine: Engine | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def of_containers(self) -> bool:
        return self.engine is not None

    @property
    def one_proxy(self) -> bool:
        """Whether all workloads have one proxy, that of the node."""
        return self.capture in ("node", "container-node")

    def instance(self, workload: str) -> dict[str, Any]:
        """Returns the first replica of one of Bookinfo's workloads, as it is reported."""
        name = workload if self.of_containers else f"{workload}-0"
        (found,) = (one for one in self.get("/v1/workloads")["items"] if one["name"] == name)
        return dict(found)

    def at_host(self) -> AbstractContextManager[None]:
        """Moves this thread to where the mesh runs, while the context lasts."""
        return self.engine.host.entered() if self.engine else contextlib.nullcontext()

    def command(self, *arguments: str) -> list[str]:
        """Returns the command line of a mizzen command where the mesh runs."""
        line = [str(MIZZEN), *arguments]
        return self.engine.host.command(*line) if self.engine else line

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.settings.state_dir) | (self.engine.environment if self.engine else {})

    def cli(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a mizzen command on this mesh; its output is captured."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )
        if check:
            assert done.returncode == 0, f"mizzen {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def apply(self, *files: Path) -> str:
        """Applies files and waits until every proxy has acknowledged them."""
        return self._here("apply", "--wait", *(part for file in files for part in ("-f", str(file)))).stdout

    def apply_text(self, text: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._here("apply", "--wait", "-f", "-", text=text, check=check)

    def delete(self, *what: str, text: str = "") -> None:
        """Deletes resources, as `mizzen delete` is told them, and waits as :meth:`apply` does."""
        self._here("delete", "--wait", *what, text=text)

    def _here(self, *arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        # The same command line, here: hundreds of tests begin so, and a process would cost each as much as the change.
        env = {**dict.fromkeys(name for name in os.environ if name.startswith("MIZZEN_")), **self.environment}
        done = CliRunner().invoke(application, arguments, input=text, env=env, catch_exceptions=False)
        if check:
            assert done.exit_code == 0, f"mizzen {' '.join(arguments)}: {done.exit_code}\n{done.output}"
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def change(self, text: str) -> dict[str, Any]:
        """Applies by the API and waits for every proxy; a command for each of many changes would measure Python's start."""
        with self.client() as client:
            response = client.post("/v1/resources/apply", json={"files": [{"name": "test.yaml", "text": text}]})
            response.raise_for_status()
            version = response.json()["version"]
            acknowledged: dict[str, Any] = client.get(f"/v1/versions/{version}", params={"timeout": 30}).json()
        assert (acknowledged["pending"], acknowledged["rejected"]) == ([], [])
        return acknowledged

    def get(self, path: str, **query: Any) -> Any:
        with self.client() as client:
            response = client.get(path, params=query)
            response.raise_for_status()
            return response.json()

    def stats(self, proxy: str, pattern: str) -> dict[str, int]:
        """Returns what the Envoy of a proxy has counted, by the names in which the regular expression is found."""
        found = self.get(f"/v1/proxies/{proxy}/admin/stats", format="json", filter=pattern)["stats"]
        return {one["name"]: one["value"] for one in found if "name" in one}

    def gateway_port(self, number: int, workload: str = "ingress") -> int:
        """Returns where a port of a gateway is on its host, where a new one is a moment after it was acknowledged."""

        def local() -> int:
            # By the command, which takes as long as a proxy that has to open the port.
            instances = json.loads(self.cli("status", "-o", "json").stdout)["instances"]
            (found,) = (one for one in instances if one["workload"] == workload and one["phase"] == "Running")
            return next((int(one["local"]) for one in found["sockets"] if one["number"] == number), 0)

        return eventually(local, f"the gateway {workload} has port {number}")

    def client(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self.settings.api_socket), verify=False)
        return httpx2.Client(transport=transport, base_url="http://mizzen", timeout=60)

    def load(self, workload: str, url: str, rate: float = 200.0, *options: str) -> AbstractContextManager[Load]:
        """Sends requests from beside a workload while the context lasts."""
        return running_load(self, workload, url, "--rate", str(rate), *options)

    def send(self, workload: str, url: str, count: int, rate: float = 1000.0, *options: str) -> dict[str, Any]:
        """Sends ``count`` requests from beside a workload; returns what came back."""
        command = command_of(workload, url, "--count", str(count), "--rate", str(rate), *options)
        return dict(json.loads(self.cli(*command).stdout))

    def answers(self) -> bool:
        """Whether the control plane takes connections now."""
        # By hand: the HTTP client's library leaves a socket open when it cannot connect.
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(str(self.settings.api_socket)) == 0

    def kill_control(self) -> None:
        """Kills the control plane as a crash would, and waits until another answers and knows all its proxies."""
        connected = {proxy["id"] for proxy in self.get("/v1/proxies")["items"] if proxy["connected"]}
        killed = self.control_pid()
        assert killed, "there is no control plane to kill"
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: self._knows(connected, other_than=killed), "another control plane knows all proxies")

    def _knows(self, connected: set[str], other_than: int) -> bool:
        try:
            if self.control_pid() in {None, other_than} or not self.answers():
                return False
            proxies = self.get("/v1/proxies")["items"]
        except (AssertionError, httpx2.HTTPError):  # away, or starting
            return False
        return connected <= {proxy["id"] for proxy in proxies if proxy["connected"]}

    def control_pid(self) -> int | None:
        """The process of the control plane (the node's child that runs the module), or None between two."""
        return child_of(self.process.pid, "mizzen.control")


def environment(state_dir: Path) -> dict[str, str]:
    """The environment of a user whose meshes are all under one folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
    return own | {
        "MIZZEN_STATE_DIR": str(state_dir),
        "XDG_STATE_HOME": str(state_dir.parent / "xdg"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


# How a mesh is started, by its runtime: a mode of capture for processes, or containers with one kind of proxy or the other.
_OPTIONS = {
    "explicit": ("--capture", "explicit"),
    "transparent": ("--capture", "transparent"),
    "node": ("--capture", "transparent", "--proxy", "node"),
    "container-sidecar": ("--containers",),
    "container-node": ("--containers", "--proxy", "node"),
}


def start(
    paths: Sequence[Path],
    state_dir: Path,
    *options: str,
    name: str = "test",
    capture: str = "explicit",
    env: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> subprocess.Popen[str]:
    """Starts `mizzen up` in a runtime, with ``env`` added to its environment; its output comes through a pipe."""
    command = [str(MIZZEN), "up", *map(str, paths), "--name", name, *_OPTIONS[capture], *options]
    return subprocess.Popen(
        engine.host.command(*command) if engine else command,
        env=environment(state_dir) | (engine.environment if engine else {}) | dict(env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], line: str) -> str:
    """Reads what a process prints up to a line with this expression; the test's own time limit ends a wait in vain."""
    assert process.stdout
    seen = ""
    for text in process.stdout:
        seen += text
        if re.search(line, text):
            return seen
    raise AssertionError(f"{line!r} was not printed:\n{seen}")


@contextlib.contextmanager
def running(
    *paths: Path,
    capture: str = "explicit",
    options: Sequence[str] = (),
    state_dir: Path | None = None,
    start_containers: Callable[[Engine], object] = bookinfo_containers,
    engine: Engine | None = None,
) -> Iterator[Mesh]:
    """Runs a mesh while the context lasts, from its readiness to its orderly end, which is checked.

    ``capture`` is one of the runtimes above. By default Bookinfo is in it: as Workloads that the mesh runs, or as
    containers that an engine ran before. ``engine`` is one that runs already, with all that is in it.
    """
    with contextlib.ExitStack() as stack:
        if state_dir is None:
            state_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mizzen-")), "state")
        if capture.startswith("container-") and engine is None:
            engine = stack.enter_context(containers.engine())
            start_containers(engine)
        elif not paths and engine is None:
            paths = (BOOKINFO,)
        process = start(paths, state_dir, *options, capture=capture, engine=engine)
        mesh = Mesh(Settings(name="test", state_dir=state_dir), process, capture, engine)
        stack.callback(_stop, mesh)
        _await_ready(mesh)
        yield mesh


def _await_ready(mesh: Mesh) -> None:
    ready = threading.Event()

    def read() -> None:
        assert mesh.process.stdout
        with mesh.process.stdout as output:
            for line in output:
                mesh.lines.append(line.rstrip())
                if line.startswith("mesh is ready"):
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(START_SECONDS), "\n".join(mesh.lines)
    assert any(line.startswith("mesh is ready") for line in mesh.lines), "\n".join(mesh.lines)


def _stop(mesh: Mesh) -> None:
    if mesh.process.poll() is None:
        mesh.process.send_signal(signal.SIGINT)
    try:
        code = mesh.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        mesh.process.kill()
        raise
    assert code == 0, f"mizzen up ended with {code}:\n" + "\n".join(mesh.lines[-30:])
