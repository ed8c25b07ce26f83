"""A played host for each test, which must find it as it was; captures and machines on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container, container
from tests.e2e.capture.played_host import SERVICES, machine, played_host, state_of_the_host

from mizzen.node.capture import host
from mizzen.node.capture.answers import name_table
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.nameserver import Names
from mizzen.node.capture.transparent import TransparentCapture
from mizzen.settings import Settings


@pytest.fixture
def unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs the test on a host of its own; whatever it did there must be undone at its end."""
    with played_host():
        monkeypatch.setattr(host, "RUN_DIR", tmp_path / "claims")
        before = state_of_the_host()
        yield
        assert state_of_the_host() == before


@pytest.fixture
def capture_settings(tmp_path: Path) -> Settings:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    return Settings(name="captured", state_dir=state_dir)


@pytest.fixture
async def capture(unchanged: None, capture_settings: Settings) -> AsyncIterator[TransparentCapture]:
    """Capture that knows the services."""
    async with TransparentCapture(capture_settings) as entered:
        entered.update(SERVICES)
        yield entered


@pytest.fixture
def outside(unchanged: None) -> Iterator[str]:
    """The namespace of the machine 198.51.100.2, one link away from the host."""
    with machine("outside", "198.51.100") as namespace:
        yield namespace


@pytest.fixture
def beyond(unchanged: None) -> Iterator[str]:
    """The namespace of the machine 203.0.113.2, on another link of the host."""
    with machine("beyond", "203.0.113") as namespace:
        yield namespace


@pytest.fixture
def internal() -> bool:
    """Whether the networks of the container ``reviews`` lead nowhere else."""
    return False


@pytest.fixture
def reviews(unchanged: None, tmp_path: Path, internal: bool) -> Iterator[Container]:
    """A container in two networks; it must be at the end as it was."""
    with container(tmp_path, "10.89.0", "10.89.1", internal=internal) as made:
        before = made.state()
        yield made
        assert made.state() == before


@pytest.fixture
async def attachments(reviews: Container, tmp_path: Path) -> AsyncIterator[Attachments]:
    """Know the services; leave all containers before it is looked whether they are as they were."""
    async with Attachments(Names(name_table(SERVICES)), tmp_path / "netns") as entered:
        yield entered
