from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mizzen.node.engine.endings import Endings
from mizzen.registry.containers import Container


class Watched:
    """Endings that were told, and those who wait for one."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self._told = asyncio.Event()
        self.endings = Endings(self._tell)

    def _tell(self, container: str) -> None:
        self.ended.append(container)
        self._told.set()

    async def until_told(self) -> None:
        await asyncio.wait_for(self._told.wait(), 10)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    made.endings.close()


def container(pid: int, **changes: Any) -> Container:
    return Container(id="a", name="a", pid=pid, started_at=time.time(), **changes)


async def ended() -> int:
    """Returns the number of a process that has ended."""
    made = await asyncio.create_subprocess_exec("true")
    await made.wait()
    return made.pid


async def test_the_end_is_told_once(watched: Watched, process: asyncio.subprocess.Process) -> None:
    one = container(process.pid)
    assert watched.endings.watch(one)
    assert watched.endings.watch(one)
    assert watched.ended == []
    process.kill()
    await watched.until_told()
    assert watched.ended == ["a"]
    assert not watched.endings.watch(one)  # however long its engine says that it runs


async def test_a_process_that_has_ended_already(watched: Watched) -> None:
    one = container(await ended())
    assert not watched.endings.watch(one)
    assert not watched.endings.watch(one)
    assert watched.ended == []


async def test_another_run_is_watched_again(watched: Watched, process: asyncio.subprocess.Process) -> None:
    assert not watched.endings.watch(container(await ended()))
    assert watched.endings.watch(Container(id="a", name="a", state="exited"))
    assert watched.endings.watch(container(process.pid))
    process.kill()
    await watched.until_told()


async def test_a_process_that_is_younger_than_the_container(
    watched: Watched, process: asyncio.subprocess.Process, descriptors: None
) -> None:
    assert watched.endings.watch(Container(id="a", name="a", pid=process.pid, started_at=time.time() - 3600))


async def test_what_does_not_run_is_not_watched(watched: Watched, descriptors: None) -> None:
    for state in ("created", "exited"):
        assert watched.endings.watch(container(os.getpid(), state=state))
    assert watched.endings.watch(container(0, state="restarting"))


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_nothing_is_left_open(watched: Watched, descriptors: None, state: str) -> None:
    assert watched.endings.watch(container(os.getpid(), state=state))
    watched.endings.forget("a")
    assert watched.endings.watch(container(os.getpid(), state=state))
    assert watched.endings.watch(container(os.getpid(), state="exited"))
    assert watched.endings.watch(container(os.getpid(), state=state))
    assert watched.endings.watch(container(os.getpid(), state=state))
    watched.endings.close()


async def test_what_cannot_be_watched_is_believed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert watched.endings.watch(container(os.getpid()))
