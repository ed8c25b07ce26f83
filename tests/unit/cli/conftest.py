"""The fake API on a real Unix socket, and a state directory that looks as a node's does."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from tests.unit.cli.fakes import LONG_AGO, FakeApi, StartMesh


@pytest.fixture(scope="session")
def api_server() -> Iterator[tuple[FakeApi, Path]]:
    api = FakeApi()
    routes = [Route("/{path:path}", api.respond, methods=["GET", "POST"])]
    folder = Path(tempfile.mkdtemp(prefix="mizzen-"))
    # The socket listens before the server runs, so nobody has to wait for it.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "api.sock"))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield api, folder
        server.should_exit = True
        thread.join()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state home, the current directory; no setting of the developer's own."""
    for name in ("MIZZEN_NAME", "MIZZEN_STATE_DIR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    state = tmp_path / "state"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.chdir(work)
    return state / "mizzen"


@pytest.fixture
def start_mesh(home: Path, api_server: tuple[FakeApi, Path]) -> Iterator[StartMesh]:
    """Makes the state directory of a running mesh: the lock is held, as by a node, until the test ends."""
    locks = []

    def start(name: str = "default", *, state_dir: Path | None = None, pid: int | None = None) -> Path:
        folder = state_dir or home / name
        folder.mkdir(parents=True)
        facts = {
            "name": name,
            "pid": pid or os.getpid(),
            "capture": "explicit",
            "sockets": str(api_server[1]),
            "started": time.time() - LONG_AGO,
            "version": "0.1.0",
        }
        (folder / "mesh.json").write_text(json.dumps(facts))
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        locks.append(lock)
        return folder

    yield start
    for lock in locks:
        lock.close()


@pytest.fixture
def api(api_server: tuple[FakeApi, Path], start_mesh: StartMesh) -> Iterator[FakeApi]:
    """The API of a mesh that runs under the default name."""
    start_mesh()
    api_server[0].on("GET /v1/containers", {})
    yield api_server[0]
    api_server[0].reset()
