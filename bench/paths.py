"""The ways from a client to the same backend that are compared: direct, two hand-configured Envoys, two sidecars; and with
one proxy for both ends.

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
from mizzen.node.capture.rules import ENVOY_GROUP

MODES = ("sidecar", "node")
DIRECT, HAND, EXPLICIT, TRANSPARENT = "direct", "hand-configured", "explicit", "transparent"
AUTHORITY = "backend:8080"
_PORT = 8080
# Where the backend also takes calls that pass no proxy: one of the ports that capture leaves alone on the way in.
_OPEN_PORT = 15020
_SERVICE = "backend.default.svc.cluster.local"


@dataclass(frozen=True)
class CallPath:
    """One way to the backend: what the client calls, and the processes of the proxies between, if there are any: two, or
    one that is both. ``backend_pid`` is the backend's, where it has one of its own.
    """

    target: Target
    client_pid: int = 0
    server_pid: int = 0
    backend_pid: int = 0

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def proxies(self) -> tuple[int, ...]:
        return tuple({pid: None for pid in (self.client_pid, self.server_pid) if pid})


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
            _explicit(explicit),
        ]
        if transparent:
            ways.append(_transparent(stack.enter_context(running([folder / "mesh"], TRANSPARENT)), TRANSPARENT))
        yield ways


@contextlib.contextmanager
def mode_paths() -> Iterator[list[CallPath]]:
    """Starts two meshes with transparent capture, one for each mode of proxies, while the context lasts; needs root.

    Each has two ways, from the same client to the same backend: through its proxies, and past them.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mizzen-bench-")))
        (folder / "mesh.yaml").write_text(mesh_yaml(_OPEN_PORT))
        ways = []
        for mode in MODES:
            mesh = stack.enter_context(running([folder], TRANSPARENT, "--proxy", mode))
            ways += [_transparent(mesh, mode), _past(mesh, direct_name(mode))]
        yield ways


def mesh_yaml(open_port: int = 0) -> str:
    """Returns the resources of the small mesh: a client that does nothing by itself, and the backend."""
    service = _resource("v1", "Service", "backend")
    service["spec"] = {"selector": {"app": "backend"}, "ports": [{"name": "http", "port": _PORT}]}
    backend = _resource("mizzen.dev/v1alpha1", "Workload", "backend")
    backend["spec"] = {
        # A number, once Mizzen has put it in.
        "command": [part.replace('"$(PORT)"', "$(PORT)") for part in command(backend_config("$(PORT)", open_port))],
        "ports": [{"name": "http", "containerPort": _PORT}],
        "serviceAccount": "backend",
    }
    client = _resource("mizzen.dev/v1alpha1", "Workload", "client")
    client["spec"] = {"command": ["sleep", "infinity"], "serviceAccount": "client"}
    return yaml.safe_dump_all([service, backend, client])


def _resource(api: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": {"app": name}}}


def _explicit(mesh: Mesh) -> CallPath:
    client, server = _ends(mesh)
    port = next(one["local"] for one in client["outbound"] if one["host"] == _SERVICE)
    return CallPath(Target(EXPLICIT, LOOPBACK, port), client["proxyPid"], server["proxyPid"])


def _transparent(mesh: Mesh, name: str) -> CallPath:
    client, server = _ends(mesh)
    service = mesh.get("/v1/resources?kind=Service&namespace=default&name=backend")["items"][0]
    target = Target(name, service["status"]["address"], _PORT, client["netns"])
    return CallPath(target, client["proxyPid"], server["proxyPid"], server["pid"])


def direct_name(mode: str) -> str:
    """Returns the name of the way past the proxies of a mode."""
    return f"{mode}, {DIRECT}"


def _past(mesh: Mesh, name: str) -> CallPath:
    client, server = _ends(mesh)
    return CallPath(Target(name, server["address"], _OPEN_PORT, client["netns"], ENVOY_GROUP))


def _ends(mesh: Mesh) -> tuple[dict[str, Any], dict[str, Any]]:
    instances = mesh.instances()
    return instances["client-0"], instances["backend-0"]
