from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog

from mizzen.cli import running_here
from mizzen.node.events import Event, MeshStarting
from mizzen.node.host import StartError
from mizzen.settings import Settings

Agent = Callable[[Settings, Callable[[Event], None]], Any]


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(name="shop", state_dir=tmp_path / "shop")


def _run(monkeypatch: pytest.MonkeyPatch, settings: Settings, agent: Agent, show: Callable[[Any], None]) -> str:
    """In a thread: this thread's event loop is pytest-asyncio's."""
    monkeypatch.setattr("mizzen.node.agent.run", agent)
    with ThreadPoolExecutor() as threads:
        return threads.submit(running_here.run, settings, show).result()


def test_events_are_shown_and_the_log_goes_to_a_file(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    async def agent(_settings: Settings, emit: Callable[[Event], None]) -> None:
        structlog.get_logger("x").error("a detail")
        emit(MeshStarting("shop", "explicit"))

    shown: list[Any] = []
    assert _run(monkeypatch, settings, agent, shown.append) == ""
    assert [event["event"] for event in shown] == ["MeshStarting"]
    log = settings.log_dir / "node.log"
    assert re.fullmatch(r"\S+ \[error *\] a detail *\n", log.read_text())  # without colours
    assert log.stat().st_mode & 0o777 == 0o600
    assert settings.state_dir.stat().st_mode & 0o777 == 0o700


def test_why_a_mesh_cannot_start(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    async def agent(_settings: Settings, _emit: Callable[[Event], None]) -> None:
        raise StartError("the state directory is in use")

    assert _run(monkeypatch, settings, agent, lambda _event: None) == "the state directory is in use"


def test_a_mesh_runs_on_where_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    def show(_event: Any) -> None:
        raise BrokenPipeError

    reached = []

    async def agent(_settings: Settings, emit: Callable[[Event], None]) -> None:
        emit(MeshStarting("shop", "explicit"))
        reached.append(True)

    assert _run(monkeypatch, settings, agent, show) == ""
    assert reached


def test_a_second_signal_ends_as_an_interrupted_command(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    async def agent(_settings: Settings, _emit: Callable[[Event], None]) -> None:
        raise asyncio.CancelledError

    with pytest.raises(KeyboardInterrupt):
        _run(monkeypatch, settings, agent, lambda _event: None)
