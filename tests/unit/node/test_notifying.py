from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.node.played import pause

from mizzen.node.events import ControlStarted, Event, MeshReady, Stopping
from mizzen.node.notifying import VARIABLE, notify, telling_systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd listens, at the two kinds of address that it may have."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(name.replace("@", "\0"))
        made.setblocking(False)
        monkeypatch.setenv(VARIABLE, name)
        yield made


def said(manager: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found += manager.recv(4096).decode().splitlines()
    except BlockingIOError:
        return found


async def test_systemd_is_told_when_the_mesh_is_ready_and_when_it_stops(manager: socket.socket) -> None:
    events: list[Event] = []
    tell = telling_systemd(events.append)
    assert VARIABLE not in os.environ
    for event in (ControlStarted(1, 0), MeshReady(2, 0.5), Stopping("SIGTERM")):
        tell(event)
    assert len(events) == 3
    assert said(manager) == [
        "STATUS=control plane is up (process 1)",
        "STATUS=mesh is ready: 2 instances in 0.5 s",
        "READY=1",
        "STATUS=stopping (SIGTERM)",
        "STOPPING=1",
    ]


@pytest.mark.looptime
async def test_a_mesh_that_is_never_ready_keeps_nobody_waiting_for_ever(manager: socket.socket) -> None:
    telling_systemd(lambda _: None)(ControlStarted(1, 0))
    await pause(29)
    assert "READY=1" not in said(manager)
    await pause(2)
    assert said(manager) == ["READY=1"]


def test_where_nobody_asks_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    tell: list[Event] = []
    assert telling_systemd(tell.append) == tell.append
    notify("", "READY=1")
    notify(str(tmp_path / "nobody"), "READY=1")
