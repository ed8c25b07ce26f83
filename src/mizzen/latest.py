"""A value that changes, and those who wait for it to change.

This is how live state travels between the parts of a process: the owner sets, any number of tasks watch. A watcher that
is slow sees the latest value and not each one in between, so nothing queues up and nobody can be held up. It belongs to
one event loop: :meth:`Latest.set` is called from the loop's own thread, as everything else here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds the latest value of something, and wakes its watchers.

    ``async for value in latest`` yields the value of now at once, then each later one, without end; values that came
    and went while the body of the loop ran are skipped. Each ``async for`` is a watcher of its own.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._revision = 0
        self._replaced = asyncio.Event()

    def get(self) -> T:
        return self._value

    def set(self, value: T) -> None:
        """Replaces the value and wakes all watchers, also when the new value equals the old: that is the owner's call."""
        self._value = value
        self._revision += 1
        # Each value has its own event, so a watcher that is between two values cannot miss the one that it waits for.
        replaced, self._replaced = self._replaced, asyncio.Event()
        replaced.set()

    async def until(self, condition: Callable[[T], bool]) -> T:
        """Returns the first value that fulfils the condition: the one of now, or a later one."""
        while not condition(self._value):
            await self._replaced.wait()
        return self._value

    def __aiter__(self) -> AsyncIterator[T]:
        return _Watcher(self)

    async def _after(self, revision: int) -> tuple[int, T]:
        while self._revision == revision:
            await self._replaced.wait()
        return self._revision, self._value


class _Watcher(AsyncIterator[T]):
    """One watcher. A class, not a generator: it may be cancelled or dropped anywhere, and has nothing to close."""

    def __init__(self, latest: Latest[T]) -> None:
        self._latest = latest
        self._seen = -1

    async def __anext__(self) -> T:
        self._seen, value = await self._latest._after(self._seen)  # noqa: SLF001 - one thing in two classes
        return value
