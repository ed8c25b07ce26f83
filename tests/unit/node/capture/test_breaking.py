"""Connections with addresses that are gone are broken off in passes, each for all who ask before it begins."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

import pytest

from mizzen.node.capture import breaking, connections
from mizzen.node.capture.breaking import Breaking

ONE, TWO, THREE = (IPv4Address(f"10.89.0.{number}") for number in (1, 2, 3))


class Passes:
    """Notes what is broken off where; a pass ends when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[set[str], set[IPv4Address]]] = []
        self.may_end = threading.Event()
        self._paths: set[str] = set()
        monkeypatch.setattr(breaking, "in_each_namespace", self._in_each)
        monkeypatch.setattr(connections, "break_off", self._break_off)

    def _in_each(self, paths: Collection[str], work: Callable[[], object]) -> None:
        self._paths = set(paths)
        work()
        assert self.may_end.wait(10)

    def _break_off(self, peers: Collection[IPv4Address]) -> int:
        self.begun.append((self._paths, set(peers)))
        return 0


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    return Passes(monkeypatch)


async def test_one_pass_is_for_all_who_ask_while_another_is_on_its_way(passes: Passes) -> None:
    callers = {"/a"}
    made = Breaking(lambda: callers)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(made.break_off(ONE))
        while not passes.begun:
            await asyncio.sleep(0.001)
        callers = {"", "/a", "/b"}
        # What was connected after the pass had been there is for the next: the first one asks again, too.
        later = [group.create_task(made.break_off(address)) for address in (ONE, TWO, THREE)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in (first, *later))
        passes.may_end.set()
    assert passes.begun == [({"/a"}, {ONE}), ({"", "/a", "/b"}, {ONE, TWO, THREE})]


async def test_who_asks_later_gets_a_pass_of_his_own(passes: Passes) -> None:
    passes.may_end.set()
    made = Breaking(lambda: {""})
    await made.break_off(ONE)
    await made.break_off(ONE)
    assert passes.begun == [({""}, {ONE})] * 2


async def test_passes_take_no_more_than_their_share_of_a_processor(
    passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0.0, 0.05)
    monkeypatch.setattr(time, "thread_time", lambda: next(ticks))
    passes.may_end.set()
    made, clock = Breaking(lambda: {""}), asyncio.get_running_loop().time
    began = clock()
    await made.break_off(ONE)
    assert clock() - began < 0.1, "the first does not wait"
    await made.break_off(ONE)
    assert clock() - began >= 0.2, "of 0.25 seconds it took 0.05"
    assert len(passes.begun) == 2
