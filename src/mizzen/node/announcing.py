"""Tells the control plane what runs on this node: the latest state, as soon as possible, for as long as it takes.

Changes that come while a report is on its way go together into the next one. Whoever must know that a change has
arrived awaits :meth:`Board.delivered`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mizzen.latest import Latest
from mizzen.registry.found import united
from mizzen.registry.reports import ExecContext, FoundService, Instance, Report

# What one event changes in several places, it changes within so many turns of the event loop: it goes into one report.
_TURNS = 3


class Board:
    """All instances of this node as they are now. ``send`` delivers one report and returns the snapshot version in
    which it takes effect; it tries until it succeeds. ``told`` is what is said of the node itself.
    """

    def __init__(self, node: str, send: Callable[[Report], Awaitable[int]]) -> None:
        self._node = node
        self._send = send
        self._instances: dict[tuple[str, str], Instance] = {}
        self._contexts: dict[tuple[str, str], ExecContext] = {}
        self.told: Latest[Mapping[str, Any]] = Latest({})
        self._offered: tuple[FoundService, ...] = ()
        self._changes = 1  # the first report says that nothing runs yet
        self._sent = 0
        self._version = 0
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._wake.set()

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(self._instances.values())

    def tell(self, **facts: Any) -> None:
        """Replaces what is said of the node itself: fields of :class:`Report`."""
        before = self.told.get()
        if (now := {**before, **facts}) != before:
            self.told.set(now)
            self.resend()

    def offer(self, services: tuple[FoundService, ...]) -> None:
        """Replaces the services that are told beside those of the node's containers."""
        if services != self._offered:
            self._offered = services
            self.resend()

    def put(self, instance: Instance, context: ExecContext | None = None) -> None:
        """Replaces what is said of an instance."""
        key = (instance.namespace, instance.name)
        if self._instances.get(key) == instance and self._contexts.get(key) == context:
            return
        self._instances[key] = instance
        if context:
            self._contexts[key] = context
        else:
            self._contexts.pop(key, None)
        self.resend()

    def remove(self, namespace: str, name: str) -> None:
        self._contexts.pop((namespace, name), None)
        if self._instances.pop((namespace, name), None):
            self.resend()

    def resend(self) -> None:
        """Has the report sent again: the control plane may be a new one that knows nothing."""
        self._changes += 1
        self._wake.set()

    async def delivered(self) -> int:
        """Returns when all that was put until now has arrived, with the snapshot version that has it."""
        target = self._changes
        async with self._changed:
            await self._changed.wait_for(lambda: self._sent >= target)
        return self._version

    async def run(self) -> None:
        """Sends until it is cancelled."""
        while True:
            await self._wake.wait()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._wake.clear()
            changes = self._changes
            version = await self._send(self._report())
            async with self._changed:
                self._sent, self._version = changes, version
                self._changed.notify_all()

    def _report(self) -> Report:
        facts = dict(self.told.get())
        services, problems = united([*facts.pop("services", ()), *self._offered])
        return Report(
            node=self._node,
            instances=tuple(self._instances.values()),
            exec_contexts=tuple(self._contexts.values()),
            services=services,
            problems=(*facts.pop("problems", ()), *problems),
            **facts,
        )
