"""Blocking work and groups of tasks, begun and ended whole whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

Made = TypeVar("Made")


async def finished(work: Callable[[], Made], undo: Callable[[Made], object] | None = None) -> Made:
    """Runs blocking work in a thread and never leaves it half seen: if cancelled meanwhile, waits, then undoes it."""
    loop = asyncio.get_running_loop()
    running = loop.run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if undo is not None and running.exception() is None:
            made = running.result()
            await asyncio.wait([loop.run_in_executor(None, undo, made)])
        raise


async def ended(
    tasks: asyncio.TaskGroup,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    """Leaves a group of tasks that serves the body of an asynchronous context manager.

    What the body raised is no failure of a task and is not wrapped as one.
    """
    if kind is asyncio.CancelledError:
        # The group itself may have cancelled, because a task of its failed.
        await tasks.__aexit__(kind, error, trace)
    else:
        await tasks.__aexit__(None, None, None)
