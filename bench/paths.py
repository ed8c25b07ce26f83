"""The ways from a client to the same backend that are compared: direct, two hand-configured Envoys, two sidecars.

A backend is an Envoy that answers at once, and a Workload of a mesh. The direct way and the hand-configured Envoys lead
to the one of the mesh whose capture is explicit, which is as good as any: it listens on loopback.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import handwritten
from bench.handwritten import LOOPBACK, backend_config, command
from bench.load import Target
from bench.mesh import Mesh, running

DIRECT, HAND, EXPLICIT, TRANSPARENT = "direct", "hand-configured", "explicit", "transparent"
AUTHORITY = "backend:8080"
_PORT = 8080
_SERVICE = "backend.default.svc.cluster.local"


@dataclass(frozen=True)
class CallPath:
    """One way to the backend: what the client calls, and the processes of the two proxies between, if there are any."""

    target: Target
    client_pid: int = 0
    server_pid: int = 0

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def proxies(self) -> tuple[int, ...]:
        return tuple(pid for pid in (self.client_pid, self.server_pid) if pid)


@contextlib.contextmanager
def call_paths(*, transparent: bool) -> Iterator[list[CallPath]]:
    """Starts all that is needed for the ways, while the context lasts; ``transparent`` needs root."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mizzen-bench-")))
        (folder / "mesh").mkdir()
        (folder / "mesh" / "mesh.yaml").write_text(mesh_yaml())
        explicit = stack.enter_context(running([folder / "mesh"], EXPLICIT))
        backend = explicit.instances()["backend-0"]["ports"][0]["application"]
        pair = stack.enter_context(handwritten.pair(folder, backend))
        ways = [
            CallPath(Target(DIRECT, LOOPBACK, backend)),
            CallPath(Target(HAND, LOOPBACK, pair.port), pair.client_pid, pair.server_pid),
            _through(explicit),
        ]
        if transparent:
            ways.append(_through(stack.enter_context(running([folder / "mesh"], TRANSPARENT))))
        yield ways


def mesh_yaml() -> str:
    """Returns the resources of the small mesh: a client that does nothing by itself, and the backend."""
    service = _resource("v1", "Service", "backend")
    service["spec"] = {"selector": {"app": "backend"}, "ports": [{"name": "http", "port": _PORT}]}
    backend = _resource("mizzen.dev/v1alpha1", "Workload", "backend")
    backend["spec"] = {
        # A number, once Mizzen has put it in.
        "command": [part.replace('"$(PORT)"', "$(PORT)") for part in command(backend_config("$(PORT)"))],
        "ports": [{"name": "http", "containerPort": _PORT}],
        "serviceAccount": "backend",
    }
    client = _resource("mizzen.dev/v1alpha1", "Workload", "client")
    client["spec"] = {"command": ["sleep", "infinity"], "serviceAccount": "client"}
    return yaml.safe_dump_all([service, backend, client])


def _resource(api: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": {"app": name}}}


def _through(mesh: Mesh) -> CallPath:
    instances = mesh.instances()
    client, server = instances["client-0"], instances["backend-0"]
    if mesh.capture == EXPLICIT:
        port = next(one["local"] for one in client["outbound"] if one["host"] == _SERVICE)
        target = Target(EXPLICIT, LOOPBACK, port)
    else:
        service = mesh.get("/v1/resources?kind=Service&namespace=default&name=backend")["items"][0]
        netns = mesh.get("/v1/workloads/default/client/exec")["netns"]
        target = Target(TRANSPARENT, service["status"]["address"], _PORT, netns)
    return CallPath(target, client["proxyPid"], server["proxyPid"])
