from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2
import pytest
from tests.unit.control.apis import Api

from mizzen.control.api.app import Parts, application
from mizzen.control.world import World
from mizzen.identity.authority import Authority
from mizzen.registry.reports import Report
from mizzen.settings import Settings
from mizzen.store.stores import Stores
from mizzen.xds.status import Fleet

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


@pytest.fixture
async def api(open_world: OpenWorld, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(name="test", state_dir=tmp_path, capture="explicit")
    settings.log_dir.mkdir()
    authority = Authority.open(settings.authority_dir, settings.trust_domain, clock=time.time)
    async with open_world(report=Report(node="n")) as world:
        app = application(Parts(settings, world._stores, world, authority, fleet := Fleet()))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://mesh") as client:
            yield Api(client, world, settings, fleet)
