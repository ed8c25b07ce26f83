from __future__ import annotations

import asyncio

from mizzen.node.engine.coalescing import Changes


async def test_each_name_once_and_in_order() -> None:
    changes = Changes()
    for name in "abab":
        changes.add(name)
    assert [await changes.take(), await changes.take()] == ["a", "b"]


async def test_whoever_takes_waits() -> None:
    changes = Changes()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(changes.take()) for _ in range(2)]
        await asyncio.sleep(0)
        changes.add("a")
        changes.add("b")
    assert [task.result() for task in tasks] == ["a", "b"]


async def test_what_is_added_while_it_is_taken_comes_again_once() -> None:
    changes = Changes()
    changes.add("a")
    await changes.take()
    changes.add("a")
    changes.add("a")
    changes.add("b")
    assert await changes.take() == "b"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(changes.take())
        await asyncio.sleep(0)
        assert not task.done()
        changes.done("a")
    assert task.result() == "a"
    changes.done("a")
    changes.add("c")
    assert await changes.take() == "c"


async def test_whoever_is_cancelled_takes_nothing() -> None:
    changes = Changes()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(changes.take())
        await asyncio.sleep(0)
        task.cancel()
        changes.add("a")
    assert await changes.take() == "a"


async def test_clear() -> None:
    changes = Changes()
    changes.add("a")
    changes.clear()
    changes.add("b")
    assert await changes.take() == "b"
