"""Runs a watch and waits for what it shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

from mizzen.node.engine.watching import ContainerWatch
from mizzen.registry.containers import Container

Containers = Mapping[str, Container]


@contextlib.asynccontextmanager
async def running(watch: ContainerWatch) -> AsyncIterator[None]:
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield
        task.cancel()


async def until(watch: ContainerWatch, condition: Callable[[Containers], bool]) -> Containers:
    found = await watch.containers.until(lambda containers: containers is not None and condition(containers))
    assert found is not None
    return found


def states(containers: Containers) -> dict[str, str]:
    return {container.name: container.state for container in containers.values()}


def now() -> str:
    return datetime.now(UTC).isoformat()
