"""What processes use: processor time and memory, from /proc (Linux). Elsewhere there is nothing to read, and 0 is said."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """In bytes. ``private`` is what ends with the process; ``pss`` adds its share of what it shares with others.

    ``own`` is what is in no file, and ``mapped`` what is: the program itself, which several processes have only once.
    """

    private: int
    pss: int
    own: int
    mapped: int


def cpu_seconds(pid: int) -> float:
    """Returns the time that all threads of a process were on a processor, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e9


def memory(pid: int) -> Memory:
    fields: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split(":")
            fields[name] = int(value.split()[0]) * 1024
    own = fields.get("Anonymous", 0)
    return Memory(
        private=fields.get("Private_Clean", 0) + fields.get("Private_Dirty", 0),
        pss=fields.get("Pss", 0),
        own=own,
        mapped=fields.get("Rss", 0) - own,
    )
