from __future__ import annotations

import asyncio
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_loop_of_its_own() -> None:
    """Keeps looptime from making an event loop for tests that have none: Python 3.11 does so on asking for it.

    Nobody would close that loop, and a warning is an error.
    """
    asyncio.set_event_loop(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an authority is to be made; not there yet."""
    return tmp_path / "state" / "ca"
