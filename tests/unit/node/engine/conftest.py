from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.unit.node.engine.played_engine import PlayedEngine

from mizzen.node.engine.client import Engine


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Checks that no descriptor is left open."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
async def process() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for a test to end."""
    made = await asyncio.create_subprocess_exec("sleep", "100")
    yield made
    if made.returncode is None:
        made.kill()
        await made.wait()


@pytest.fixture
async def played(folder: Path) -> PlayedEngine:
    return PlayedEngine(folder / "engine.sock")


@pytest.fixture
async def engine(played: PlayedEngine) -> AsyncIterator[Engine]:
    async with Engine(played.socket) as made:
        yield made
