"""Has Podman say when it is about to start a container: by an OCI hook, which it runs when the container's network is
made and nothing runs in it yet. Docker has no hooks.

The hook is a file in a folder that Podman reads at each start, for as long as the mesh has containers. What a killed node
leaves there does nothing: the hook finds nobody at its socket, and the container starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog

from mizzen.node.engine import hook

log = structlog.get_logger(__name__)

_FOLDER = "usr/share/containers/oci/hooks.d"
_CONFIGURATIONS = ("usr/share/containers/containers.conf", "etc/containers/containers.conf")
_OVERRIDE = "CONTAINERS_CONF"
_LONGEST_STATE = 1 << 20
_STATE_TIMEOUT = 1.0
_RESOLV_CONF = "/etc/resolv.conf"


@dataclass(frozen=True)
class Beginning:
    """A container that is about to start: its ``id``, its first process, and its resolv.conf as a path on the host."""

    id: str
    pid: int
    resolv_conf: str = ""


class _State(msgspec.Struct):
    """As the OCI runtime specification has it, as far as it is needed."""

    id: str
    pid: int
    bundle: str


class _Mount(msgspec.Struct):
    destination: str
    source: str = ""


class _Bundle(msgspec.Struct):
    mounts: list[_Mount] = []


class _EngineSection(msgspec.Struct):
    hooks_dir: list[str] = []


class _Configuration(msgspec.Struct):
    """As containers.conf(5) has it, as far as it is needed."""

    engine: _EngineSection = msgspec.field(default_factory=_EngineSection)


def hooks_folder(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Path:
    """Returns the folder from which Podman takes hooks: the last of its configuration's ``hooks_dir``, or its default.

    ``root`` stands in for / in tests.
    """
    environment = os.environ if environment is None else environment
    override = environment.get(_OVERRIDE)
    files = [Path(override)] if override else [root / file for file in _CONFIGURATIONS]
    folder = root / _FOLDER
    for file in files:
        # Podman itself complains of a file that it cannot read.
        with contextlib.suppress(OSError, ValueError):
            if found := msgspec.toml.decode(file.read_bytes(), type=_Configuration).engine.hooks_dir:
                folder = Path(found[-1])
    return folder


def hook_file(folder: Path, socket: Path) -> Path:
    """Returns the file of the hook that asks at a socket."""
    digest = hashlib.sha256(os.fsencode(socket)).hexdigest()[:12]
    return folder / f"mizzen-{digest}.json"


class Hooks:
    """An asynchronous context manager that installs a hook and answers it on ``socket``.

    ``begin`` is called for each container that is about to start; it starts when that returns, or after a second. When the
    context is left no call is under way. Where the folder cannot be written to, that is logged, and containers start
    without being told.
    """

    def __init__(self, folder: Path, socket: Path, begin: Callable[[Beginning], Awaitable[None]]) -> None:
        self._folder = folder
        self._socket = socket
        self._begin = begin
        self._file = hook_file(folder, socket)
        self._made_folder = False
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._answer, self._socket, limit=_LONGEST_STATE)
        try:
            self._install()
        except OSError as error:
            log.warning(
                "containers that start are captured a moment later",
                error=str(error),
                hint="Podman's hooks are not used",
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._uninstall()
        assert self._server
        self._server.close()
        self._socket.unlink(missing_ok=True)
        if self._answering:
            await asyncio.wait(self._answering)

    def _install(self) -> None:
        self._made_folder = not self._folder.exists()
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")  # Podman reads *.json
        partial.write_bytes(msgspec.json.encode(_configuration(self._socket)))
        partial.replace(self._file)

    def _uninstall(self) -> None:
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("a hook that does nothing is left", file=str(self._file), error=str(error))
        if self._made_folder:
            with contextlib.suppress(OSError):  # Another mesh's hook is in it.
                self._folder.rmdir()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        with contextlib.closing(writer):
            try:
                async with asyncio.timeout(_STATE_TIMEOUT):
                    beginning = _decode(await reader.read())
            except (TimeoutError, ValueError, OSError) as error:
                log.warning("a hook's message is not understood", error=str(error) or type(error).__name__)
                return
            await self._begin(beginning)


def _configuration(socket: Path) -> dict[str, Any]:
    """Returns the hook in the form of oci-hooks(5), version 1.0.0."""
    python, program = shlex.quote(sys.executable), shlex.quote(str(Path(hook.__file__).resolve()))
    told = shlex.quote(str(socket))
    # A hook that fails, or is not there, would keep all containers of the host from starting.
    script = f"[ ! -S {told} ] || {python} -I -S {program} {told} || :"
    return {
        "version": "1.0.0",
        "hook": {"path": "/bin/sh", "args": ["sh", "-c", script]},
        "when": {"always": True},
        "stages": ["createRuntime"],
    }


def _decode(state: bytes) -> Beginning:
    """Reads what a hook was given; raises ValueError (msgspec's DecodeError is one) and OSError."""
    read = msgspec.json.decode(state, type=_State)
    bundle = msgspec.json.decode((Path(read.bundle) / "config.json").read_bytes(), type=_Bundle)
    files = [mount.source for mount in bundle.mounts if mount.destination == _RESOLV_CONF]
    return Beginning(read.id, read.pid, files[-1] if files else "")
