from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mizzen.control.world import World
from mizzen.registry.reports import Report
from mizzen.store.stores import Stores

OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@contextlib.asynccontextmanager
async def running(state: Path, *files: Path, report: Report | None = None) -> AsyncIterator[World]:
    """A world over real stores, from when it is opened until its process would end."""
    async with await Stores.open(state / "mizzen.db", files) as stores:
        world = await World.open(stores, "cluster.local")
        async with asyncio.TaskGroup() as tasks:
            parts = [tasks.create_task(stores.run()), tasks.create_task(world.run())]
            if report is not None:
                await world.included(world.put_report(report))
            try:
                yield world
            finally:
                for part in parts:
                    part.cancel()


@pytest.fixture
def open_world(tmp_path: Path) -> OpenWorld:
    """Opens the world of one state directory; again, it is the next control plane's."""

    def opened(*files: Path, report: Report | None = None) -> AbstractAsyncContextManager[World]:
        return running(tmp_path, *files, report=report)

    return opened
