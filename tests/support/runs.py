"""`mizzen run` for tests: commands that tests bring into a mesh, and wait for."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.meshes import MIZZEN, Mesh, environment
from tests.support.polling import eventually

# Answers each caller with its own name, and at /slow after a while; ends at once when it is told to.
SERVER = """
import http.server, os, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        if self.path == "/slow":
            print("slow", flush=True)
            time.sleep(1.5)
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SERVE = (sys.executable, "-c", SERVER, "$(PORT)")
WEB = ("--workload-name", "web", "--service", "web", "--port", "http:8080")


@dataclass
class Run:
    """A run that has begun; its output comes through the pipes of ``process``."""

    mesh: Mesh
    process: subprocess.Popen[str]

    def ended(self) -> tuple[int, str, str]:
        """Waits for its end; returns its exit code and what it said."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.ended()


def command_line(*options: str, command: Sequence[str] = SERVE) -> list[str]:
    return [str(MIZZEN), "run", *options, "--", *command]


@contextlib.contextmanager
def running_command(
    mesh: Mesh, *options: str, command: Sequence[str] = SERVE, env: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """Runs a command in a mesh; it is killed where it has not ended with the context."""
    with subprocess.Popen(
        command_line(*options, command=command),
        env=environment(mesh.settings.state_dir) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Run(mesh, process)
        finally:
            process.kill()


def run(
    mesh: Mesh, *options: str, command: Sequence[str], env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs a command in a mesh until it ends; returns its exit code and what it said."""
    with running_command(mesh, *options, command=command, env=env) as begun:
        return begun.ended()


def instances_of(mesh: Mesh, workload: str = "web") -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in mesh.get("/v1/workloads")["items"] if one["workload"] == workload}


def await_ready(mesh: Mesh, *names: str, workload: str = "web") -> None:
    """Waits until exactly these instances of a workload are there, and ready."""

    def ready() -> bool:
        found = instances_of(mesh, workload)
        return set(found) == set(names) and all(one["ready"] for one in found.values())

    eventually(ready, f"{', '.join(names) or 'none'} of {workload} is there and ready")
