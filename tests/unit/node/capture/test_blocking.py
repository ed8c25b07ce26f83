import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from mizzen.node.capture.blocking import ended, finished


async def test_what_was_made_is_returned() -> None:
    assert await finished(lambda: 42) == 42


async def test_who_is_cancelled_waits_until_it_is_made_and_undone() -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    undone: list[int] = []

    def work() -> int:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        return 42

    async with asyncio.TaskGroup() as group:
        task = group.create_task(finished(work, undone.append))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
    assert task.cancelled()
    assert undone == [42]


async def test_an_error_of_the_body_is_not_wrapped_and_waits_for_the_tasks() -> None:
    group = asyncio.TaskGroup()
    await group.__aenter__()
    task = group.create_task(asyncio.sleep(0))
    await ended(group, ValueError, ValueError("of the body"), None)
    assert task.done()


async def test_a_task_that_fails_ends_the_body() -> None:
    async def fail() -> None:
        raise ValueError("of a task")

    group = asyncio.TaskGroup()
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await use(group, fail())


async def use(group: asyncio.TaskGroup, failing: Coroutine[Any, Any, None]) -> None:
    await group.__aenter__()
    group.create_task(failing)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        await ended(group, type(error), error, None)
