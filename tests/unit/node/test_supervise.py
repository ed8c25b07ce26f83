"""The supervisor of a detached node, with shells in the place of nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.polling import eventually

from mizzen.node import supervise


def supervised(script: str, folder: Path) -> subprocess.Popen[str]:
    """Supervises a shell that notes each of its starts, as a process id, in the file "starts"."""
    command = ["/bin/sh", "-c", f"echo $$ >> starts; {script}"]
    line = [sys.executable, "-I", "-S", str(Path(supervise.__file__)), *command]
    return subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True)


def starts(folder: Path) -> list[int]:
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_exit_code_is_passed_on(tmp_path: Path, code: int) -> None:
    assert ended(supervised(f"exit {code}", tmp_path)) == (code, "")
    assert len(starts(tmp_path)) == 1


def test_who_is_killed_is_started_again(tmp_path: Path) -> None:
    process = supervised("test $(wc -l < starts) = 2 && exit 7; exec sleep 60", tmp_path)
    (first,) = eventually(lambda: starts(tmp_path), "it starts")
    os.kill(first, signal.SIGKILL)
    code, said = ended(process)
    assert code == 7
    # What the killed one had started may still complain.
    assert "the node was killed by SIGKILL; it is started again\n" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_somebody_asks_for_is_passed_on_and_final(tmp_path: Path, number: signal.Signals) -> None:
    process = supervised(
        f"trap 'exit 5' {number.name.removeprefix('SIG')}; echo >> on; while :; do sleep 0.1; done", tmp_path
    )
    eventually((tmp_path / "on").exists, "it runs")
    process.send_signal(number)
    assert ended(process) == (5, "")


def test_who_was_asked_and_is_killed_is_not_started_again(tmp_path: Path) -> None:
    process = supervised("trap '' TERM; echo >> on; while :; do sleep 0.1; done", tmp_path)
    eventually((tmp_path / "on").exists, "it runs")
    process.terminate()
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    assert ended(process) == (128 + signal.SIGKILL, "")
    assert len(starts(tmp_path)) == 1


def test_the_node_may_be_asked_itself(tmp_path: Path) -> None:
    process = supervised("exec sleep 60", tmp_path)
    (node,) = eventually(lambda: starts(tmp_path), "it starts")
    os.kill(node, signal.SIGTERM)
    assert ended(process) == (128 + signal.SIGTERM, "")


def test_between_two_nodes_it_ends_at_once(tmp_path: Path) -> None:
    process = supervised("kill -9 $$", tmp_path)
    assert process.stderr
    for _ in range(4):  # After the fourth it waits before the last time.
        assert process.stderr.readline().endswith("the node was killed by SIGKILL; it is started again\n")
    process.terminate()
    assert ended(process)[0] == 0
    assert len(starts(tmp_path)) == 4


def test_it_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(supervise, "delay", lambda _: 0.0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        assert supervise.Supervisor(["/bin/sh", "-c", "kill -SEGV $$"]).run() == 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = capfd.readouterr().err.splitlines()
    assert [line.partition("] ")[2] for line in said] == [
        *["the node was killed by SIGSEGV; it is started again"] * 4,
        "the node was killed 5 times in a row, at last by SIGSEGV, and is not started again",
    ]


def test_delays() -> None:
    assert [supervise.delay(failures) for failures in range(1, 7)] == [0.0, 1.0, 2.0, 4.0, 4.0, 4.0]
