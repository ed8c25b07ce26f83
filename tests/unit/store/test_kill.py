"""kill -9 at any moment: what was reported as committed is there, nothing is there by half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.store import applying
from tests.unit.store.written import table

from mizzen.store import SqliteStore

ROUNDS = 20


async def test_every_reported_commit_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    moments = random.Random(7)
    command = [sys.executable, applying.__file__, str(path)]
    reported = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as program:
        for _ in range(ROUNDS):
            reported = _kill_in_a_while(program, moments, reported)
            await _check(path, reported)
        assert program.stdin is not None
        program.stdin.close()
    assert program.returncode == 0
    assert reported > ROUNDS, "the program was always killed before it had done anything"


def _kill_in_a_while(program: subprocess.Popen[str], moments: random.Random, reported: int) -> int:
    """Lets the program run, kills it, and returns the last version that it reported."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("go\n")
    pid = int(program.stdout.readline().removeprefix("pid "))
    for _ in range(moments.randrange(8)):
        reported = int(program.stdout.readline())
    # No event tells of a moment in the middle of a commit; chance does, in one of so many rounds.
    time.sleep(moments.uniform(0, 0.004))
    os.kill(pid, signal.SIGKILL)
    # A line that the kill has cut short reports nothing.
    while not (line := program.stdout.readline()).endswith("ended\n"):
        reported = int(line)
    return reported


async def _check(path: Path, reported: int) -> None:
    assert table(path, "PRAGMA integrity_check") == [("ok",)]
    store = await SqliteStore.open(path)
    try:
        version = store.contents.version
        # At most one more was committed, and not reported any more.
        assert reported <= version <= reported + 1
        numbers = {f"number-{number}" for number in range(max(1, version - applying.NEWEST + 1), version + 1)}
        pair = set(applying.PAIR) if version else set()
        assert {one.name for one in store.contents.resources.values()} == numbers | pair
        for name in pair:
            resource = store.contents.resources[applying.key(name)]
            assert (resource.labels["generation"], resource.created) == (str(version), 1)
            changes = await store.history(applying.key(name))
            assert [change.version for change in changes] == list(range(version, max(0, version - 100), -1))
    finally:
        await store.close()
