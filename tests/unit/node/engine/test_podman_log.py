from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from mizzen.node.engine.decoding import Event
from mizzen.node.engine.podman_log import find_log, following


def line(status: str, kind: str = "container") -> bytes:
    return msgspec.json.encode({"ID": "1fa4", "Name": "x", "Status": status, "Type": kind, "Attributes": None}) + b"\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "events.log"
    made.write_bytes(line("before"))
    return made


def append(file: Path, data: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(data)


async def taken(heard: asyncio.Queue[Event]) -> str:
    return (await asyncio.wait_for(heard.get(), 10)).action


async def test_lines_are_told_as_they_come(file: Path, descriptors: None) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    with following(file, heard.put_nowait):
        append(file, line("start") + line("died"))
        assert [await taken(heard), await taken(heard)] == ["start", "died"]
        whole = line("pause")
        append(file, b"{malformed\n" + whole[:10])
        append(file, whole[10:])
        assert await taken(heard) == "pause"
        append(file, line("connect", "network"))
        assert await asyncio.wait_for(heard.get(), 10) == Event("1fa4", "connect", "network")
    assert heard.empty()


async def test_a_file_that_was_replaced_is_followed_on(file: Path, descriptors: None) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    with following(file, heard.put_nowait):
        fresh = file.with_name("fresh")
        fresh.write_bytes(line("old") + line("rotate"))
        append(file, line("last"))
        fresh.rename(file)
        assert await taken(heard) == "last"
        append(file, line("start"))
        assert await taken(heard) == "start"
        file.unlink()
        (file.parent / "other").touch()
        await asyncio.sleep(0.01)
        file.touch()
        await asyncio.sleep(0.01)
        append(file, line("again"))
        assert await taken(heard) == "again"


async def test_a_file_that_is_not_there_is_no_reason_to_fail(tmp_path: Path, descriptors: None) -> None:
    with following(tmp_path / "events.log", lambda event: None):
        pass


def test_the_file_that_the_listener_has_open(folder: Path, file: Path) -> None:
    assert find_log(folder / "no.sock") is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "x.sock"))
        listener.listen()
        assert find_log(folder / "x.sock") is None
        with file.open("rb"):
            assert find_log(folder / "x.sock") == file
        with file.open("rb"):
            file.unlink()
            assert find_log(folder / "x.sock") is None
