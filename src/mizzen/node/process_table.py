"""The processes of the system: which there are, and when each started, which tells two of the same id apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of the system: its group, and when it started, in a form that no other process of that id has had."""

    group: int
    started: str


def start_time(pid: int) -> str | None:
    """Returns when a process started, or None if there is none."""
    if sys.platform == "linux":
        found = _from_proc(pid, _boot_id())
    else:
        found = _from_ps("-p", str(pid)).get(pid)
    return found.started if found else None


def running() -> dict[int, Process]:
    """Returns all processes by their id."""
    if sys.platform == "linux":
        boot = _boot_id()
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return {pid: process for pid in pids if (process := _from_proc(pid, boot))}
    return _from_ps("-ax")  # type: ignore[unreachable,unused-ignore]


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _from_proc(pid: int, boot: str) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): "pid (name) state ppid pgrp ..."; the name may hold anything, field 22 is the start time.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(int(fields[2]), f"{boot} {fields[19]}")


def _from_ps(*which: str) -> dict[int, Process]:
    command = ["ps", *which, "-o", "pid=,pgid=,lstart="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return {int(pid): Process(int(group), started.strip()) for pid, group, started in rows}
