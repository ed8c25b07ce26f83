"""Finds and ends what a crashed node left running.

On Linux the kernel kills the node's children with it, but not their children, and on macOS neither. So the node keeps a
record of each child (its process id, which is also its process group, and when it started) while it runs, and at its
next start kills the groups that are still there and still the ones it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import structlog

from mizzen.node.process_table import Process, running, start_time

log = structlog.get_logger(__name__)


class Records:
    """One file for each running child, named by its process id, in a folder of the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pids: set[int] = set()

    def add(self, pid: int) -> None:
        """Remembers a child. Where that fails (a full disk) the child runs on unrecorded, and the log says so."""
        self._pids.add(pid)
        started = start_time(pid)
        if started is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / str(pid)).write_text(started)
        except OSError as error:
            log.warning("a child is not recorded, so a crash of this node could leave it running", error=str(error))

    def remove(self, pid: int) -> None:
        self._pids.discard(pid)
        (self._folder / str(pid)).unlink(missing_ok=True)

    def kill_leftovers(self) -> list[int]:
        """Kills the recorded groups that still run; returns their ids."""
        if not self._folder.is_dir():
            return []
        recorded = {int(file.name): file.read_text() for file in self._folder.iterdir() if file.name.isdigit()}
        groups = leftovers(recorded, running() if recorded else {})
        for group in groups:
            _kill(group)
        for pid in recorded:
            self.remove(pid)
        return groups

    def kill_all(self) -> None:
        """Kills all children of this node that run now."""
        for pid in self._pids:
            _kill(pid)


def kill_group(pid: int, started: str | None) -> None:
    """Kills the group of a process that started then (:func:`start_time`), whether or not it still leads it."""
    if started is not None:
        for group in leftovers({pid: started}, running()):
            _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended; macOS: EPERM for zombies
        os.killpg(group, signal.SIGKILL)


def leftovers(recorded: Mapping[int, str], processes: Mapping[int, Process]) -> list[int]:
    """Returns the recorded groups that run: the leader is the process that was recorded, or is gone and its group is not.

    While a group has a member the system gives its id to no new process, so a group without a leader is the recorded
    one; a leader with another start time is a stranger.
    """
    groups = {process.group for process in processes.values()}
    return sorted(
        pid
        for pid, started in recorded.items()
        if pid in groups and (pid not in processes or processes[pid].started == started)
    )
