"""How one mesh is set up: its name, where its state lives, what it watches.

The command line makes a :class:`Settings`, the node agent and the control plane are started with it. It is plain data
that crosses process borders as JSON; nothing here touches the disk except :meth:`Settings.sockets`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

# sun_path holds 108 bytes on Linux and 104 on macOS, with a zero at the end; the longest name that we put behind the
# folder (see `admin_socket`) takes the rest.
_LONGEST_SOCKET_FOLDER = 104 - 1 - len("/admin-web-frontend-1-01234567.sock")

SUFFIXES = (".yaml", ".yml", ".json")
"""How the names of files with resources end."""


_COMPOSE_NAME = re.compile(r"(docker-)?compose(\.override)?\.ya?ml", re.ASCII)


def holds_resources(file: Path) -> bool:
    """Says by its name whether a file of a folder is read: YAML or JSON, not hidden, as editors' own files are, and not
    for Compose.
    """
    return file.suffix in SUFFIXES and not file.name.startswith(".") and not is_for_compose(file)


def is_for_compose(file: Path) -> bool:
    """Says whether a file has one of the names under which Compose looks for its files."""
    return _COMPOSE_NAME.fullmatch(file.name) is not None


@dataclass(frozen=True)
class ComposeProject:
    """A Compose project that the mesh starts. ``command`` is the command line up to Compose's own word (`up`, `stop`)."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All that the processes of one mesh must agree on.

    ``certificate_lifetime`` is in seconds. ``capture`` is ``auto``, ``explicit`` or ``transparent``. ``proxy`` is
    ``sidecar`` or ``node``: who serves the workloads that do not say it themselves. ``containers`` makes all containers
    of this host's engine members of the mesh, ``compose`` the containers of projects, which are started; ``engine`` is
    the engine's socket, "" for where it usually is. ``locality`` is where this host is, as ``region/zone/subzone``, or "".
    """

    name: str
    state_dir: Path
    paths: tuple[Path, ...] = ()
    capture: str = "auto"
    proxy: str = "sidecar"
    containers: bool = False
    engine: str = ""
    compose: tuple[ComposeProject, ...] = ()
    locality: str = ""
    trust_domain: str = "cluster.local"
    certificate_lifetime: float = 24 * 3600.0
    log_format: str = "console"

    @property
    def database(self) -> Path:
        return self.state_dir / "mizzen.db"

    @property
    def authority_dir(self) -> Path:
        return self.state_dir / "ca"

    @property
    def secrets_dir(self) -> Path:
        """Where the contents of Secrets are, beside the database."""
        return self.state_dir / "secrets"

    @property
    def log_dir(self) -> Path:
        return self.state_dir / "logs"

    def log_file(self, namespace: str, instance: str, *, proxy: bool = False) -> Path:
        """Where the output of an instance's application goes, or of its Envoy."""
        return self.log_dir / f"{_in_files(namespace, instance)}{'-envoy' if proxy else ''}.log"

    @property
    def control_log(self) -> Path:
        return self.log_dir / "control.log"

    @property
    def compose_log(self) -> Path:
        """What Compose printed while it started and stopped projects."""
        return self.log_dir / "compose.log"

    @property
    def node_log(self) -> Path:
        return self.log_dir / "node.log"

    @property
    def namespaces_dir(self) -> Path:
        """Where the network namespaces of attached containers have paths."""
        return self.state_dir / "netns"

    @property
    def children_dir(self) -> Path:
        """Where the node records its child processes."""
        return self.state_dir / "children"

    @property
    def lock_file(self) -> Path:
        return self.state_dir / "lock"

    @property
    def mesh_file(self) -> Path:
        """Describes the running mesh to other processes: the node's process id, its sockets, its capture mode."""
        return self.state_dir / "mesh.json"

    @property
    def sockets(self) -> Path:
        """The folder of the mesh's Unix sockets: in the state directory, or where paths are short if that is too deep."""
        folder = self.state_dir / "run"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        digest = hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir(), f"mizzen-{os.getuid()}-{digest}")

    @property
    def api_socket(self) -> Path:
        """Where the control plane serves its HTTP API."""
        return self.sockets / "api.sock"

    @property
    def xds_socket(self) -> Path:
        """Where the control plane serves ADS to the proxies."""
        return self.sockets / "xds.sock"

    @property
    def sds_socket(self) -> Path:
        """Where the node serves SDS to its proxies."""
        return self.sockets / "sds.sock"

    @property
    def node_socket(self) -> Path:
        """Where the node takes what `mizzen run` starts."""
        return self.sockets / "node.sock"

    @property
    def hook_socket(self) -> Path:
        """Where the node is told of containers that are about to start."""
        return self.sockets / "hook.sock"

    def admin_socket(self, namespace: str, instance: str) -> Path:
        """Where the Envoy of a workload instance serves its administration interface."""
        name = _in_files(namespace, instance)
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return self.sockets / f"admin-{name[:14]}-{digest}.sock"

    def to_json(self) -> str:
        fields = dataclasses.asdict(self) | {
            "state_dir": str(self.state_dir),
            "paths": [str(path) for path in self.paths],
        }
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        fields = json.loads(text)
        paths = tuple(Path(path) for path in fields.pop("paths"))
        compose = tuple(ComposeProject(one["name"], tuple(one["command"])) for one in fields.pop("compose"))
        return cls(state_dir=Path(fields.pop("state_dir")), paths=paths, compose=compose, **fields)


def _in_files(namespace: str, instance: str) -> str:
    """Returns the name of an instance in files: instances of two namespaces may have one name."""
    return instance if namespace == "default" else f"{instance}.{namespace}"
