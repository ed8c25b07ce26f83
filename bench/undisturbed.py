"""Keeps what is measured from waiting for what else the machine does. Linux, root."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def undisturb(pids: Iterable[int]) -> None:
    """Gives all threads of processes real-time priority, the one that the load generator has."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))
