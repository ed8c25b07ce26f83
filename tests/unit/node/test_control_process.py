from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mizzen.node.control_process import ControlKeeper, last_message
from mizzen.node.events import ControlCrashed, ControlStarted, Event
from mizzen.node.host import StartError
from mizzen.node.leftovers import Records
from mizzen.settings import Settings


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ([], ""),
        (["mesh.yaml:3:1: error: x", "mesh.yaml:4:1: error: y"], "mesh.yaml:3:1: error: x\nmesh.yaml:4:1: error: y"),
        (["old", "2026-01-01 10:00:00 [info] up", "the message"], "the message"),
        (["\x1b[2m2026-01-01T10:00:00Z\x1b[0m [info] up", "the message"], "the message"),
        (['{"event": "up"}', "the message"], "the message"),
        (
            ["Traceback (most recent call last):", "  File x", "KeyError: 1"],
            "the control plane has crashed (KeyError: 1); this is a bug, logs/control.log has the rest",
        ),
    ],
)
def test_what_the_control_plane_said_last(tail: list[str], message: str) -> None:
    assert last_message(tail) == message


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(name="one", state_dir=tmp_path)
    settings.log_dir.mkdir()
    return settings


def keeper(settings: Settings, events: list[Event], script: str, *, up: bool) -> ControlKeeper:
    async def answers() -> bool:
        return up

    records = Records(settings.state_dir / "children")
    return ControlKeeper(settings, records, events.append, answers, ["sh", "-c", script])


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo mesh.yaml:1:1: error: x; exit 1", "mesh.yaml:1:1: error: x"),
        ("kill -SEGV $$", "the control plane does not start: killed by SIGSEGV"),
    ],
)
async def test_one_that_never_comes_up_ends_the_mesh(settings: Settings, script: str, message: str) -> None:
    with pytest.raises(StartError) as raised:
        await keeper(settings, [], script, up=False).keep()
    assert str(raised.value) == message


async def test_one_that_was_up_is_started_again(settings: Settings) -> None:
    events: list[Event] = []
    kept = keeper(settings, events, "sleep 0.05; exit 3", up=True)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(kept.keep())
        while len(events) < 3:
            await asyncio.sleep(0.005)
        task.cancel()
    kinds = [type(event) for event in events[:3]]
    assert kinds == [ControlStarted, ControlCrashed, ControlStarted]
    assert events[1].to_dict()["message"] == "exit code 3"
    assert list((settings.state_dir / "children").iterdir()) == []


async def test_what_it_says_comes_after_the_word_that_it_is_up(settings: Settings) -> None:
    events: list[Event] = []
    kept = keeper(settings, events, "exec sleep 60", up=True)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(kept.keep())
        assert not kept.told.is_set()
        await kept.told.wait()
        assert [type(event) for event in events] == [ControlStarted]
        task.cancel()
