"""What has to be looked at again: each thing once, however often it is said, and never by two at a time."""

from __future__ import annotations

import asyncio


class Changes:
    """A queue of names for several takers. A name that is added while it is taken is due again when that is done, since
    whoever has taken it may have looked too early.
    """

    def __init__(self) -> None:
        self._due: dict[str, None] = {}
        self._taken: set[str] = set()
        self._again: set[str] = set()
        self._added = asyncio.Event()

    def add(self, name: str) -> None:
        if name in self._taken:
            self._again.add(name)
        else:
            self._due[name] = None
            self._added.set()

    async def take(self) -> str:
        """Returns the name that has waited longest, once there is one; whoever takes it calls :meth:`done`."""
        while not self._due:
            self._added.clear()
            await self._added.wait()
        name = next(iter(self._due))
        del self._due[name]
        self._taken.add(name)
        return name

    def done(self, name: str) -> None:
        self._taken.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.add(name)

    def clear(self) -> None:
        """Forgets what is due; nothing may be taken."""
        self._due.clear()
        self._again.clear()
