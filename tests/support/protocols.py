"""A server that speaks everything (:mod:`tests.support.speaking`) and clients for it, as resources of a mesh."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.support import small
from tests.support.meshes import ROOT, Mesh

SUPPORT = ROOT / "tests" / "support"
KINDS = {
    "web": "http",
    "calls": "grpc",
    "talk": "first",
    "tcp-talk": "first",
    "grpc-web": "grpc",
    "http-plain": "http",
    "grpc": "grpc",
}
"""What the server speaks on each of its ports, whose names declare it or do not."""
PORTS = {name: 8001 + at for at, name in enumerate(KINDS)}


def speaking(name: str, more: str = "") -> str:
    """The server and its service; ``more`` goes to its spec."""
    ports = [{"name": port, "containerPort": number} for port, number in PORTS.items()]
    arguments = [f"{kind}=$(PORT_{port.upper().replace('-', '_')})" for port, kind in KINDS.items()]
    command = [sys.executable, str(SUPPORT / "speaking.py"), *arguments]
    service = [{"name": port, "port": number} for port, number in PORTS.items()]
    return small.joined(
        f"""
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec: {{command: {json.dumps(command)}, ports: {json.dumps(ports)}{more}}}
""",
        f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: {json.dumps(service)}}}
""",
    )


def idle(name: str, more: str = "") -> str:
    """A workload that does nothing, for tests to act in its place."""
    command = [sys.executable, "-c", "import signal; signal.sigwait([signal.SIGTERM])"]
    return f"""
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec: {{command: {json.dumps(command)}{more}}}
"""


def route(name: str, timeout: int = 100, attempts: int = 1, fault: int = 0) -> str:
    """A route that marks what it routes, on whatever port."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http:
  - match: [{{headers: {{x-nobody: {{exact: sends-this}}}}}}]
    fault: {{abort: {{httpStatus: {500 + fault}, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: {name}}}}}]
  - route: [{{destination: {{host: {name}}}}}]
    headers: {{response: {{set: {{x-route: mesh}}}}}}
    timeout: {timeout}s
    retries: {{attempts: {attempts}, retryOn: connect-failure}}
"""


def asking(client: str) -> list[str]:
    """Begins the command line for :mod:`tests.support.asking` beside a client."""
    return ["exec", client, "--", sys.executable, str(SUPPORT / "asking.py")]


@contextlib.contextmanager
def holding(mesh: Mesh, client: str, server: str) -> Iterator[subprocess.Popen[str]]:
    """Holds a WebSocket and a gRPC stream open."""
    process = subprocess.Popen(
        mesh.command(*asking(client), "--hold", server),
        env=mesh.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr
        assert process.stderr.readline() == "open\n"
        yield process


def told(mesh: Mesh, client: str, server: str) -> dict[str, dict[str, Any]]:
    """Returns what a client is answered by a server, by what it speaks."""
    found: dict[str, dict[str, Any]] = json.loads(mesh.cli(*asking(client), server).stdout)
    return found
