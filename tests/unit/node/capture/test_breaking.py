"""Calls of addresses that are gone are refused, and connections broken off in passes, each for all who ask before it begins."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

import pytest
from structlog.testing import capture_logs

from mizzen.node.capture import breaking, connections, refusals
from mizzen.node.capture.breaking import Breaking

ONE, TWO, THREE = (IPv4Address(f"10.89.0.{number}") for number in (1, 2, 3))


class Passes:
    """Notes what is broken off where, and where calls are refused; a pass ends when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[dict[str, set[IPv4Address]]] = []
        self.refused: set[tuple[str, IPv4Address]] = set()
        self.may_end = threading.Event()
        self._path = ""
        self.numbers = {"/a": 1, "/b": 2}
        monkeypatch.setattr(breaking, "in_each_namespace", self._in_each)
        monkeypatch.setattr(breaking, "number_of", self.numbers.__getitem__)
        monkeypatch.setattr(connections, "break_off", self._break_off)
        monkeypatch.setattr(refusals, "refuse", self._refuse)
        monkeypatch.setattr(refusals, "admit", self._admit)

    def _in_each(self, paths: Collection[str], work: Callable[[str], object]) -> None:
        passes = len(self.begun)
        for self._path in sorted(paths):
            work(self._path)
        merged = self.begun[passes:]
        self.begun[passes:] = [{path: peers for one in merged for path, peers in one.items()}] if merged else []
        assert not merged or self.may_end.wait(10)

    def _break_off(self, peers: Collection[IPv4Address]) -> int:
        self.begun.append({self._path: set(peers)})
        return 0

    def _refuse(self, addresses: Collection[IPv4Address]) -> None:
        self.refused |= {(self._path, address) for address in addresses}

    def _admit(self, addresses: Collection[IPv4Address]) -> None:
        self.refused -= {(self._path, address) for address in addresses}


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
        later = [group.create_task(made.break_off(address)) for address in (ONE, TWO, THREE)]
        while len(passes.refused) < 6:
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in (first, *later))
        passes.may_end.set()
    assert passes.begun == [{"/a": {ONE}}, {"": {ONE, TWO, THREE}, "/a": {TWO, THREE}, "/b": {ONE, TWO, THREE}}]


async def test_who_asks_later_gets_a_pass_of_his_own(passes: Passes) -> None:
    passes.may_end.set()
    made = Breaking(lambda: {""})
    await made.break_off(ONE)
    await made.break_off(ONE)
    assert passes.begun == [{"": {ONE}}] * 2


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


async def test_where_calls_are_refused_there_is_nothing_to_break_off_again(passes: Passes) -> None:
    passes.may_end.set()
    callers = {"", "/a"}
    made = Breaking(lambda: callers)
    await made.break_off(ONE)
    assert passes.refused == {("/a", ONE)}, "the host is not the mesh's alone"
    callers = {"", "/a", "/b"}
    await made.break_off(ONE)
    assert passes.refused == {("/a", ONE), ("/b", ONE)}
    await made.break_off(ONE)
    await made.admit(ONE)
    assert not passes.refused
    await made.break_off(ONE)
    every = {"": {ONE}, "/a": {ONE}, "/b": {ONE}}
    assert passes.begun == [{"": {ONE}, "/a": {ONE}}, {"": {ONE}, "/b": {ONE}}, {"": {ONE}}, every]


async def test_a_pass_that_began_before_calls_were_refused_is_not_the_last(passes: Passes) -> None:
    """Of what was connected after it had been there and before they were."""
    made = Breaking(lambda: {"/a"})
    async with asyncio.TaskGroup() as group:
        group.create_task(made.break_off(ONE))
        while not passes.begun:
            await asyncio.sleep(0.001)
        group.create_task(made.break_off(TWO))
        while ("/a", TWO) not in passes.refused:
            await asyncio.sleep(0.001)
        passes.may_end.set()
    assert passes.begun == [{"/a": {ONE}}, {"/a": {TWO}}]


async def test_calls_are_refused_although_a_pass_has_to_wait(passes: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "thread_time", itertools.count(0.0, 60.0).__next__)
    passes.may_end.set()
    made = Breaking(lambda: {"/a"})
    await made.break_off(ONE)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(made.break_off(TWO))
        while ("/a", TWO) not in passes.refused:
            await asyncio.sleep(0.001)
        waiting.cancel()
    assert len(passes.begun) == 1


async def test_one_that_may_not_be_refused_is_broken_off_again(passes: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(refusals, "refuse", refuse)
    passes.may_end.set()
    made = Breaking(lambda: {"/a"})
    with capture_logs() as logs:
        await made.break_off(ONE)
    await made.break_off(ONE)
    assert passes.begun == [{"/a": {ONE}}] * 2
    assert [one["namespace"] for one in logs] == ["/a"]


async def test_who_has_left_and_comes_back_is_another_caller(passes: Passes) -> None:
    passes.may_end.set()
    made = Breaking(lambda: {"/a"})
    await made.break_off(ONE)
    await made.leave("/a")
    passes.refused.clear()
    await made.break_off(ONE)
    assert passes.refused == {("/a", ONE)}
    assert passes.begun == [{"/a": {ONE}}] * 2


@pytest.mark.parametrize("seen", [False, True], ids=["at once", "after it was away"])
async def test_another_namespace_by_the_same_path_is_another_caller(passes: Passes, *, seen: bool) -> None:
    passes.may_end.set()
    callers = {"/a"}
    made = Breaking(lambda: callers)
    await made.break_off(ONE)
    passes.refused.clear()
    if seen:
        callers = {"/b"}
        await made.break_off(ONE)
        callers = {"/a"}
    passes.numbers["/a"] = 3
    await made.break_off(ONE)
    assert ("/a", ONE) in passes.refused
    assert passes.begun[-1] == {"/a": {ONE}}
