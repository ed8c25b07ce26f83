"""Waiting for a fleet, with proxies that do as told."""

from __future__ import annotations

import asyncio

from tests.support.proxies import PlayedProxy

from mizzen.xds.status import Fleet, Progress, Rejection, Standing

REJECTION = Rejection("b", "type", "name", "1", "message", 3)


def proxy(name: str, target: int | None, *pending: str, rejections: tuple[Rejection, ...] = ()) -> PlayedProxy:
    return PlayedProxy(name, Standing(target, dict.fromkeys(pending, target or 0), rejections))


async def test_progress_sorts_proxies_by_where_they_are() -> None:
    fleet = Fleet()
    for member in (
        proxy("d", 3),
        proxy("a", 2),
        proxy("b", 3, rejections=(REJECTION,)),
        proxy("c", 3, "CDS"),
        proxy("unknown", None),
    ):
        fleet.join(member)
    assert fleet.progress(3) == Progress(3, ("d",), {"a": (), "c": ("CDS",)}, {"b": (REJECTION,)})
    assert [status.node.proxy for status in fleet.proxies()] == ["a", "b", "c", "d", "unknown"]


def test_what_is_newer_than_a_version_is_not_lacked_by_it() -> None:
    standing = Standing(5, {"EDS": 3, "RDS": 5}, ())
    assert standing.lacks(2) is None
    assert standing.lacks(4) == ("EDS",)
    assert standing.lacks(5) == ("EDS", "RDS")
    assert standing.lacks(6) == ("EDS", "RDS")
    assert Standing(5, {}, ()).lacks(6) == ()


async def test_wait_returns_at_once_when_nothing_is_pending() -> None:
    assert await Fleet().wait(7, timeout=60) == Progress(7)


async def test_wait_ends_with_the_last_acknowledgement() -> None:
    fleet, member = Fleet(), proxy("a", 1, "RDS")
    fleet.join(member)
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(fleet.wait(1, timeout=60)) for _ in range(2)]
        await asyncio.sleep(0)
        fleet.notify()
        await asyncio.sleep(0)
        assert not any(wait.done() for wait in waits)
        member.now = Standing(1, {}, ())
        fleet.notify()
    assert [wait.result().synced for wait in waits] == [("a",), ("a",)]


async def test_wait_ends_when_the_proxy_leaves() -> None:
    fleet, member = Fleet(), proxy("a", 1, "RDS")
    fleet.join(member)
    async with asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(fleet.wait(1, timeout=60))
        await asyncio.sleep(0)
        fleet.leave(member)
    assert wait.result() == Progress(1)


async def test_wait_says_what_is_pending_when_time_is_up() -> None:
    fleet = Fleet()
    fleet.join(proxy("a", 1, "RDS"))
    assert (await fleet.wait(1, timeout=0)).pending == {"a": ("RDS",)}


async def test_wait_counts_proxies_that_run_and_are_not_connected() -> None:
    fleet, live = Fleet(), ["a", "b"]
    fleet.join(proxy("a", 1))
    async with asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(fleet.wait(1, timeout=60, live=lambda: live))
        await asyncio.sleep(0)
        assert fleet.progress(1, live).pending == {"b": ()}
        fleet.join(proxy("b", 1))
    assert wait.result() == Progress(1, ("a", "b"))
    live.append("c")
    assert (await fleet.wait(1, timeout=0, live=lambda: live)).pending == {"c": ()}


async def test_wait_ends_when_a_proxy_that_is_not_connected_ends() -> None:
    fleet, live = Fleet(), ["a"]
    async with asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(fleet.wait(1, timeout=60, live=lambda: live))
        await asyncio.sleep(0)
        live.clear()
        fleet.notify()
    assert wait.result() == Progress(1)


async def test_old_stream_does_not_take_its_successor_along() -> None:
    fleet, old, new = Fleet(), proxy("a", 1), proxy("a", 2)
    fleet.join(old)
    fleet.join(new)
    fleet.leave(old)
    assert fleet.proxies() == [new.status()]
