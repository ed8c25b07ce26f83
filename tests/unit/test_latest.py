"""A latest value: watchers see the first and the last, and are never left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mizzen.latest import Latest


async def test_a_watcher_first_gets_the_value_of_now() -> None:
    latest = Latest(1)
    latest.set(2)
    assert await anext(aiter(latest)) == 2
    assert latest.get() == 2


async def test_a_slow_watcher_gets_only_the_latest() -> None:
    latest = Latest(0)
    watch = aiter(latest)
    await anext(watch)
    for value in range(1, 10):
        latest.set(value)
    assert await anext(watch) == 9


async def test_an_equal_value_is_a_change_too() -> None:
    latest = Latest("same")
    watch = aiter(latest)
    await anext(watch)
    latest.set("same")
    assert await asyncio.wait_for(anext(watch), 5) == "same"


async def test_nothing_is_yielded_without_a_change() -> None:
    latest = Latest(0)
    watch = aiter(latest)
    await anext(watch)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_next(watch))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        latest.set(1)
        assert await waiting == 1


async def test_a_cancelled_wait_loses_nothing() -> None:
    latest = Latest(0)
    watch = aiter(latest)
    await anext(watch)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(watch)
    latest.set(1)
    assert await asyncio.wait_for(anext(watch), 5) == 1


async def test_many_watchers_all_reach_the_end() -> None:
    """The owner sets while watchers are anywhere: waiting, between two values, or not started."""
    latest = Latest(0)
    last = 500

    async def follow(steps: int) -> list[int]:
        seen = []
        async for value in latest:
            seen.append(value)
            if value == last:
                return seen
            for _ in range(steps):
                await asyncio.sleep(0)
        raise AssertionError

    async with asyncio.TaskGroup() as group:
        watchers = [group.create_task(follow(steps)) for steps in range(7)]
        for value in range(1, last + 1):
            latest.set(value)
            if value % 3:
                await asyncio.sleep(0)
    for watcher in watchers:
        seen = watcher.result()
        assert seen[-1] == last
        assert seen == sorted(set(seen))


async def test_until_returns_the_first_value_that_fits() -> None:
    latest = Latest(0)
    assert await latest.until(lambda value: value == 0) == 0
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(latest.until(lambda value: value > 1))
        await asyncio.sleep(0)
        latest.set(1)
        await asyncio.sleep(0)
        assert not waiting.done()
        latest.set(2)
    assert waiting.result() == 2


async def _next(watch: AsyncIterator[int]) -> int:
    return await anext(watch)
