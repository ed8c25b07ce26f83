"""A container engine for tests: Docker's API on a Unix socket, with what a test puts into it.

Its answers have the fields of real ones, as recorded from Podman 4.3.1 and as Docker's API reference (1.43) has them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

NEVER = "0001-01-01T00:00:00Z"


def podman_container(id_: str, name: str, **changes: Any) -> dict[str, Any]:
    """What Podman answers to an inspection. ``changes`` are of its state, but for ``aliases`` and ``labels``."""
    aliases, labels = changes.pop("aliases", []), changes.pop("labels", {})
    running = changes.get("Status", "running") in {"running", "paused"}
    state = {"Status": "running", "Pid": 0, "StartedAt": "2026-11-26T12:37:10.283097237Z", "ExitCode": 0}
    network = {
        "Aliases": [*aliases, id_[:12]],
        "NetworkID": "net1",
        "Gateway": "10.89.0.1" if running else "",
        "IPAddress": "10.89.0.2" if running else "",
        "IPPrefixLen": 24 if running else 0,
        "GlobalIPv6Address": "",
        "DriverOpts": None,
    }
    return {
        "Id": id_,
        "Created": "2026-11-26T12:37:10.059640212Z",
        "State": state | {"Health": {"Status": "", "FailingStreak": 0, "Log": None}} | changes,
        "Image": "sha256:c7fa2204b14400c82931ffb386c6d0d2df66ab8ea918dc8e85ac1751bb4d024a",
        "ResolvConfPath": "/run/containers/storage/overlay-containers/x/userdata/resolv.conf",
        "Name": f"/{name}",
        "HostConfig": {
            "NetworkMode": "bridge",
            "PortBindings": {"5353/udp": None, "8080/tcp": [{"HostIp": "", "HostPort": "18080"}]},
        },
        "Config": {
            "Hostname": id_[:12],
            "ExposedPorts": {"5353/udp": {}, "8080/tcp": {}, "9090/tcp": {}},
            "Image": "localhost/box:latest",
            "Labels": labels,
        },
        "NetworkSettings": {
            "Ports": {"5353/udp": None, "8080/tcp": [{"HostIp": "", "HostPort": "18080"}], "9090/tcp": None},
            "SandboxKey": "/run/netns/netns-0241c6ea" if running else "",
            "Networks": {"net1": network},
        },
    }


class PlayedEngine:
    """``containers`` are by id; ``answers`` stand in for what it would answer to a path, as status and body.

    While ``open`` is not set, inspections are not answered, and paths in ``silent`` never. ``asked`` are the paths of all
    requests.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.queries: list[dict[str, list[str]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, id_: str, name: str, **changes: Any) -> None:
        self.containers[id_] = podman_container(id_, name, **changes)

    def inspections(self, id_: str) -> int:
        return self.asked.count(f"/containers/{id_}/json")

    def tell(self, action: str, id_: str, kind: str = "container", **attributes: str) -> None:
        """Sends an event to all subscribers."""
        actor = {"ID": id_, "Attributes": {"image": "localhost/box:latest"} | attributes}
        self.send(msgspec.json.encode({"Type": kind, "Action": action, "Actor": actor, "scope": "local", "time": 1}))

    def send(self, line: bytes) -> None:
        for subscriber in self._subscribers:
            subscriber.write(_chunk(line + b"\n"))

    async def until_asked(self, path: str, times: int = 1) -> None:
        while self.asked.count(path) < times:
            self._changed.clear()
            await self._changed.wait()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers while the context lasts, and breaks off everything at its end."""
        server = await asyncio.start_unix_server(self._serve, self.socket)
        try:
            yield
        finally:
            server.close()
            for connection in self._connections:
                connection.transport.abort()
            await asyncio.gather(*self._tasks)
            self.socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._connections.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await self._answer(urlsplit(request.split()[1].decode()), writer)
        self._connections.discard(writer)
        self._subscribers.discard(writer)
        self._tasks.discard(task)
        writer.close()

    async def _answer(self, url: Any, writer: asyncio.StreamWriter) -> None:
        path = unquote(url.path)
        self.asked.append(path)
        self.queries.append(parse_qs(url.query))
        self._changed.set()
        if path in self.silent:
            return
        if path == "/events" and path not in self.answers:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._subscribers.add(writer)
            return
        if path.endswith("/json") and path != "/containers/json":
            await self.open.wait()
        status, body = self.answers.get(path) or self._usual(path)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _usual(self, path: str) -> tuple[int, bytes]:
        match path.strip("/").split("/"):
            case ["_ping"]:
                return 200, b"OK"
            case ["version"]:
                return 200, b'{"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}'
            case ["containers", "json"]:
                listed = [{"Id": id_, "State": "?", "Ports": None} for id_ in self.containers]
                return 200, msgspec.json.encode(listed)
            case ["containers", id_, "json"] if id_ in self.containers:
                return 200, msgspec.json.encode(self.containers[id_])
        return 404, b'{"cause": "no such container", "message": "no container with that name", "response": 404}'


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
