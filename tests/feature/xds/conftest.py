from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import pytest
from tests.feature.xds.harness import Source, channel_to

from mizzen.xds import Discovery, Rejection, serve


@pytest.fixture
def folder() -> Iterator[Path]:
    """A closed folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="mz") as name:
        yield Path(name)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def rejections() -> list[Rejection]:
    return []


@pytest.fixture
async def discovery(source: Source, folder: Path, rejections: list[Rejection]) -> AsyncIterator[Discovery]:
    """Serves the source on ``xds.sock``."""
    discovery = Discovery(source, on_rejection=rejections.append)
    async with serve(folder / "xds.sock", discovery):
        yield discovery


@pytest.fixture
async def channel(discovery: Discovery, folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with channel_to(folder / "xds.sock") as channel:
        yield channel
