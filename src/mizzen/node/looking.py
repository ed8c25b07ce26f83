"""Looks at all containers of the engine when a user wants to know which there are.

A node watches its engine only while something is attached, and then reports what runs. So before the first attachment all
containers are looked at here, and after it those that do not run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mizzen.latest import Latest
from mizzen.node.engine.client import Engine
from mizzen.node.engine.errors import EngineError
from mizzen.node.engine.sockets import find_socket
from mizzen.node.host import Host
from mizzen.registry.container_services import survey
from mizzen.registry.containers import Container, state_of
from mizzen.registry.reports import ContainerState, Look

# How long the engine may take for an answer, and the watch to see what the engine has, in seconds. Somebody waits.
_PATIENCE = 3.0
_CAUGHT_UP = 1.0


class Looking:
    """``watched`` returns the containers that are watched, or None while none are."""

    def __init__(self, host: Host, watched: Callable[[], Latest[Mapping[str, Container] | None] | None]) -> None:
        self._host = host
        self._watched = watched
        self._wanted = 0
        self._wake = asyncio.Event()

    def take(self, number: int) -> None:
        """Takes how often users have asked (see :class:`Desired`)."""
        if number != self._wanted:
            self._wanted = number
            self._wake.set()

    def forget(self) -> None:
        """Forgets what was seen: it is watched from now on."""
        self._host.board.tell(look=Look(number=self._wanted))

    async def run(self) -> None:
        """Looks whenever somebody has asked, until this is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            number = self._wanted
            try:
                seen = outsiders(await self._look())
            except EngineError as error:
                self._host.board.tell(look=Look(number=number, problem=str(error)))
            else:
                self._host.board.tell(look=Look(number=number, containers=seen))

    async def _look(self) -> list[Container]:
        socket = Path(self._host.settings.engine) if self._host.settings.engine else find_socket()
        async with Engine(socket, timeout=_PATIENCE) as engine:
            ids = await engine.ids()
            if watched := self._watched():
                return await _caught_up(watched, ids)
            found = [await engine.inspect(one) for one in ids]
        return [one for one in found if one]


async def _caught_up(watched: Latest[Mapping[str, Container] | None], ids: Iterable[str]) -> list[Container]:
    """Returns the containers that do not run, when all that the engine has are watched."""
    wanted = set(ids)
    with contextlib.suppress(TimeoutError):  # Somebody may have removed one meanwhile.
        async with asyncio.timeout(_CAUGHT_UP):
            await watched.until(lambda known: known is not None and wanted <= known.keys())
    return [one for one in (watched.get() or {}).values() if not one.alive]


def outsiders(containers: Iterable[Container]) -> tuple[ContainerState, ...]:
    """Returns how containers stand that nobody has attached, or that do not run."""
    surveyed = survey(containers)
    states = (
        state_of(stand, "Outside" if stand.container.alive else "Stopped", stand.reason)
        for stand in surveyed.containers.values()
    )
    return tuple(sorted(states, key=lambda one: one.name))
