"""Real containers for tests: a Podman of their own on a host of its own, and Bookinfo in it; no registry is asked.

Debian's Podman 4.3 runs as root with runc. All that it is told stands in podman.py. It can be driven in three
ways: by methods that use the Docker-compatible API, which is twice as fast as the command line, by `Engine.podman` for
what only the command line can do, and by others' programs with `Engine.environment` on `Engine.host`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from tests.support import images
from tests.support.control_groups import ControlGroup
from tests.support.hosts import Host, played_host
from tests.support.podman import configuration
from tests.support.polling import eventually

_LONGEST_SOCKET = 107
_STARTED_AT_ONCE = 2


@dataclass(frozen=True)
class Container:
    """A container to run. ``network`` is a user network's name, or what Docker's NetworkMode may be.

    ``address`` is the one that it is to have there, by default any. ``ports`` says which port of the host leads to which of
    its own (0: any); ``health`` is a command for its shell; ``capabilities`` are added to the engine's usual ones.
    """

    name: str
    image: str = images.BASE
    command: tuple[str, ...] = ()
    network: str = "none"
    address: str = ""
    aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    health: str = ""
    capabilities: tuple[str, ...] = ()

    def to_docker(self, cgroup: str) -> dict[str, Any]:
        """Returns the body of Docker's `POST /containers/create`."""
        published = {f"{own}/tcp": [{"HostPort": str(outer) if outer else ""}] for own, outer in self.ports.items()}
        host = {
            "NetworkMode": self.network,
            "CgroupParent": f"/{cgroup}",
            "PortBindings": published,
            "CapAdd": list(self.capabilities),
        }
        body: dict[str, Any] = {
            "Image": self.image,
            "Hostname": self.name,
            "Labels": dict(self.labels),
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "ExposedPorts": {port: {} for port in published},
            "HostConfig": host,
        }
        if self.command:
            body["Cmd"] = list(self.command)
        if self.aliases or self.address:
            address = {"IPAMConfig": {"IPv4Address": self.address}} if self.address else {}
            endpoint = {"Aliases": list(self.aliases), **address}
            body["NetworkingConfig"] = {"EndpointsConfig": {self.network: endpoint}}
        if self.health:
            body["Healthcheck"] = {"Test": ["CMD-SHELL", self.health], "Retries": 1}
        return body


@dataclass
class Engine:
    """Podman, with its service running. Everything that it has is in ``folder``, on ``host``, and in ``group``."""

    folder: Path
    host: Host
    group: ControlGroup
    service: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where the Docker-compatible API is served."""
        return self.folder / "podman.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a program on the host must have for it to use this engine."""
        return {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    @property
    def _environment(self) -> dict[str, str]:
        """The environment of Podman itself. It leaves the timing of health checks to systemd; see `check_health`."""
        own = {"TMPDIR": str(self.folder), "DISABLE_HC_SYSTEMD": "true"}
        return os.environ | self.environment | own

    def podman(self, *arguments: str, given: bytes | None = None, check: bool = True) -> str:
        """Runs Podman's command line on the host, with ``given`` as its input; returns what it printed."""
        command = self.host.command("podman", *arguments)
        done = subprocess.run(command, env=self._environment, input=given, capture_output=True, check=False, timeout=60)
        if check:
            assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()}"
        return done.stdout.decode()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Asks the Docker-compatible API; returns its decoded answer, None for an empty one."""
        transport = httpx2.HTTPTransport(uds=str(self.socket), verify=False)
        with httpx2.Client(transport=transport, base_url="http://podman/v1.41", timeout=60) as client:
            response = client.request(method, path, json=body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def import_image(self, name: str, changes: Iterable[str], archive: bytes) -> None:
        """Makes an image of a file system; ``changes`` are lines of a Containerfile."""
        options = (part for line in changes for part in ("--change", line))
        self.podman("import", "--quiet", *options, "-", name, given=archive)

    def network(self, name: str, subnet: str = "") -> str:
        """Makes a user network, in a subnet that is by default any free one; returns its name."""
        self.podman("network", "create", *(("--subnet", subnet) if subnet else ()), name)
        return name

    def create(self, container: Container) -> str:
        """Makes a container without starting it; returns its id."""
        made = self.request("POST", f"/containers/create?name={container.name}", container.to_docker(self.group.name))
        return str(made["Id"])

    def start(self, name: str) -> None:
        self.request("POST", f"/containers/{name}/start")

    def run(self, container: Container) -> str:
        """Makes and starts a container; returns its id when its first process runs."""
        made = self.create(container)
        self.start(made)
        return made

    def run_all(self, containers: Iterable[Container]) -> list[str]:
        """Makes and starts containers, as many at once as makes it faster; returns their ids in order."""
        with ThreadPoolExecutor(_STARTED_AT_ONCE) as threads:
            return list(threads.map(self.run, containers))

    def stop(self, name: str, seconds: int = 10) -> None:
        self.request("POST", f"/containers/{name}/stop?t={seconds}")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        self.request("POST", f"/containers/{name}/kill?signal={number.name}")

    def pause(self, name: str) -> None:
        self.request("POST", f"/containers/{name}/pause")

    def unpause(self, name: str) -> None:
        self.request("POST", f"/containers/{name}/unpause")

    def rename(self, name: str, to: str) -> None:
        self.request("POST", f"/containers/{name}/rename?name={to}")

    def rm(self, name: str) -> None:
        """Removes a container, killing it if it runs."""
        self.request("DELETE", f"/containers/{name}?force=true&v=true")

    def exec(self, name: str, *command: str) -> str:
        """Runs a command in a container; returns what it printed."""
        return self.podman("exec", name, *command)

    def check_health(self, name: str) -> bool:
        """Runs a container's health check once, as systemd's timer would, and has the engine tell of it."""
        self.podman("healthcheck", "run", name, check=False)
        return str(self.inspect(name)["State"]["Health"]["Status"]) == "healthy"

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", f"/containers/{name}/json")
        return found

    def pid(self, name: str) -> int:
        """Returns the first process of a container as the machine numbers it; 0 if it does not run."""
        return int(self.inspect(name)["State"]["Pid"])

    def netns(self, name: str) -> str:
        """Returns a path of the network namespace of a container that runs."""
        return f"/proc/{self.pid(name)}/ns/net"

    def listens(self, name: str, port: int) -> bool:
        """Whether somebody in a container that runs accepts TCP connections at this port."""
        tables = [_text(Path("/proc", str(self.pid(name)), "net", table)) for table in ("tcp", "tcp6")]
        sockets = [line.split() for table in tables for line in table.splitlines()[1:]]
        return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in sockets)

    def address(self, name: str, network: str) -> str:
        return str(self.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"])

    def start_service(self) -> None:
        """Starts the service that answers on the socket; it does when this returns."""
        command = self.host.command("podman", "system", "service", "--time=0", f"unix://{self.socket}")
        with (self.folder / "service.log").open("ab") as log:
            self.service = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        eventually(self.answers, "Podman's service answers")

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(str(self.socket)) == 0

    def kill_service(self) -> None:
        """Kills the service as a crash would. Containers go on: each has a monitor, which is no child of the service."""
        assert self.service, "the service does not run"
        self.service.kill()
        self.service.wait()
        self.service = None

    def processes(self) -> set[int]:
        """Returns all processes on the host and in its containers."""
        return self.host.processes() | self.group.processes()

    def switch_off(self) -> None:
        """Ends all that runs, as a power cut does; leaves nothing but what is in the folder."""
        if self.service:
            self.kill_service()
        eventually(self._all_killed, "all processes of the engine have ended")
        eventually(self.group.removed, "the control groups of the engine are gone")

    def _all_killed(self) -> bool:
        self.group.thaw()
        living = self.processes()
        for process in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return not living


@contextlib.contextmanager
def engine(folder: Path | None = None) -> Iterator[Engine]:
    """Podman while the context lasts, with the image `images.BASE` and no containers, on a host of its own.

    ``folder`` is for all its files, and removed at the end; by default one with a short name is made, since the path
    of a Unix socket may have 107 bytes and those of tests are often longer.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="podman-"))
    assert len(os.fsencode(folder / "podman.sock")) <= _LONGEST_SOCKET, f"{folder} is too long for a Unix socket"
    folder.mkdir(exist_ok=True)
    try:
        with played_host() as host:
            made = Engine(folder, host, ControlGroup(f"mizzen-test-{uuid.uuid4().hex[:8]}"))
            (folder / "hooks").mkdir()
            for name, text in configuration(folder).items():
                (folder / name).write_text(text)
            try:
                made.start_service()
                made.import_image(images.BASE, images.BASE_CONFIGURATION, images.base_archive())
                yield made
            finally:
                made.switch_off()
    finally:
        shutil.rmtree(folder)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
