"""Notices at once when a container's first process ends, whether or not its engine is there to tell.

A process id alone does not say whose it is: the container may have ended, and the number be another process's, before it
is watched. A process that is younger than its container is therefore not watched; the engine's word counts then.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from mizzen.registry.containers import Container

log = structlog.get_logger(__name__)

# Clocks are set while containers run, and the engine's time is that of the start, not of the process.
_YOUNGER = 5.0


@dataclass(frozen=True)
class _Run:
    """One run of a container; an id stays the same over restarts."""

    pid: int
    started_at: float


class Endings:
    """Watches the first processes of containers; calls ``ended`` with the id of one whose process has ended.

    It belongs to one event loop; :meth:`close` lets go of all.
    """

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended
        self._watched: dict[str, tuple[_Run, int]] = {}
        self._over: dict[str, _Run] = {}

    def watch(self, container: Container) -> bool:
        """Watches a container if it runs; returns False if it does not any more, whatever its engine still says."""
        if not (container.alive and container.pid):
            self.forget(container.id)
            return True
        run = _Run(container.pid, container.started_at)
        if self._over.get(container.id) == run:
            return False
        if container.id in self._watched and self._watched[container.id][0] == run:
            return True
        self.forget(container.id)
        return self._open(container, run)

    def forget(self, container: str) -> None:
        """Stops watching a container."""
        self._over.pop(container, None)
        if watched := self._watched.pop(container, None):
            _close(watched[1])

    def close(self) -> None:
        for container in [*self._watched]:
            self.forget(container)

    def _open(self, container: Container, run: _Run) -> bool:
        try:
            descriptor = os.pidfd_open(run.pid)
        except ProcessLookupError:
            self._over[container.id] = run
            return False
        except OSError as error:
            log.warning(
                "the end of a container will be heard from its engine alone", container=container.name, error=str(error)
            )
            return True
        if _began(run.pid) > run.started_at + _YOUNGER:
            os.close(descriptor)
            return True
        self._watched[container.id] = (run, descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self._end, container.id, run)
        return True

    def _end(self, container: str, run: _Run) -> None:
        self.forget(container)
        self._over[container] = run
        self._ended(container)


def _close(descriptor: int) -> None:
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


def _began(pid: int) -> float:
    """Returns when a process began, in seconds since 1970, or 0 if it has ended: its descriptor says that, too."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    # proc(5): the command is in parentheses and may contain anything; of what follows it, this is the 20th.
    ticks = int(stat.rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")
