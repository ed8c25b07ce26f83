"""What a control plane keeps for the next one: always the latest, and the last of it when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any

import structlog

from mizzen.resources.problems import Problem
from mizzen.store.contents import StoreError
from mizzen.store.stores import Stores

log = structlog.get_logger(__name__)

_SECTION = "control"
# How long until what the database did not take is offered again, in seconds.
_RETRY = 5.0


class Memory:
    """Keeps values by name in the database.

    ``problems`` says why the latest is not kept, and is empty while it is; ``told`` is called when it changes.
    """

    def __init__(self, stores: Stores, told: Callable[[], object]) -> None:
        self.problems: tuple[Problem, ...] = ()
        self._stores = stores
        self._told = told

    async def recall(self) -> Mapping[str, Any]:
        """Returns what an earlier control plane kept. Raises StoreError."""
        return await self._stores.section(_SECTION)

    async def keep(self, moments: AsyncIterable[object], latest: Callable[[], Mapping[str, Any]]) -> None:
        """Keeps ``latest`` at each of the moments, and once more when it is cancelled."""
        kept: dict[str, Any] = {}
        try:
            async for _ in moments:
                if changes := _differing(latest(), kept):
                    await self._write(changes)
                    kept.update(changes)
        finally:
            if changes := _differing(latest(), kept):
                try:
                    await self._stores.write_section(_SECTION, changes)
                except StoreError as error:
                    log.error("state not remembered", error=str(error))  # noqa: TRY400 - no bug

    async def _write(self, changes: Mapping[str, Any]) -> None:
        """Writes to the database, as soon as it takes it: on a full disk the mesh goes on, and says so."""
        while True:
            try:
                await self._stores.write_section(_SECTION, changes)
            except StoreError as error:
                log.error("state not remembered", error=str(error), retry_seconds=_RETRY)  # noqa: TRY400 - no bug
                self._tell((*error.problems, _not_remembered()))
                await asyncio.sleep(_RETRY)
            else:
                self._tell(())
                return

    def _tell(self, problems: tuple[Problem, ...]) -> None:
        if problems != self.problems:
            self.problems = problems
            self._told()


def _differing(latest: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in latest.items() if kept.get(name) != value}


def _not_remembered() -> Problem:
    return Problem(
        code="StateNotRemembered",
        message="the mesh goes on, but if its control plane ends now, the next one does not know its latest state",
        hint=f"this is tried again every {_RETRY:.0f} s",
    )
