"""Keeps all containers of the engine, as they are now: the part of ``engine`` that the node sees.

An event says only where to look. Whoever reads the container then sees how it is, so events that are old, doubled or out
of order do no harm. Three sources tell: the engine's stream of events, the end of containers' processes, and the file of
Podman's events, which is ahead of its stream. While the engine is away its containers stay as they were last, but for
those whose process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import NoReturn

import structlog

from mizzen.latest import Latest
from mizzen.node.backoff import Backoff
from mizzen.node.engine.client import Engine
from mizzen.node.engine.coalescing import Changes
from mizzen.node.engine.decoding import Event
from mizzen.node.engine.endings import Endings
from mizzen.node.engine.errors import AnswerError, EngineError
from mizzen.node.engine.podman_log import find_log, following
from mizzen.registry.containers import Container

log = structlog.get_logger(__name__)

_RECONNECT = Backoff(first=0.05, longest=1.0, jitter=0.0, stable=5.0)
_RETRY = Backoff(first=0.1, longest=30.0, jitter=0.0)
# Podman answers nobody about a container while it does something to it.
_READERS = 8
# Podman opens the file of its events only after it has answered; what it may have missed is told with what came before.
_OVERLAP = 1.0
# Podman 4.3 tells of a health check before it has kept the result, 10 to 20 ms later.
_RESULT_KEPT = 0.03

_REMOVED = frozenset({"remove", "destroy"})
# Words of Docker and of Podman; `init` is Podman's for a container that has its network and does not run yet.
_CHANGED = frozenset(
    {
        "create", "init", "start", "restart", "restore", "kill", "stop", "die", "died", "cleanup", "checkpoint",
        "pause", "unpause", "rename", "update", "health_status",
    }
)  # fmt: skip


class ContainerWatch:
    """``containers`` are all containers by id, also those that do not run; None until they are known for the first time.

    ``trouble`` says why the engine cannot be asked at present and what to do, or is "". ``on_end`` is called with the id of a
    container whose process ends, before anything else is done.
    """

    def __init__(self, engine: Engine) -> None:
        self.containers: Latest[Mapping[str, Container] | None] = Latest(None)
        self.trouble: Latest[str] = Latest("")
        self.on_end: Callable[[str], None] = lambda _: None
        self._engine = engine
        self._known: dict[str, Container] = {}
        self._unread: set[str] = set()
        self._changes = Changes()
        self._failures: dict[str, int] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._endings = Endings(self._process_ended)

    async def run(self) -> NoReturn:
        """Keeps watching, whatever the engine does, until this is cancelled."""
        clock = asyncio.get_running_loop().time
        failures = 0
        try:
            while True:
                began = clock()
                problem = await self._connect()
                if not self.trouble.get():
                    log.warning("the container engine is away; its containers stay as they are", error=str(problem))
                self.trouble.set(str(problem))
                failures = _RECONNECT.failures(failures, clock() - began)
                await asyncio.sleep(_RECONNECT.delay(failures, 0.0))
        finally:
            self._endings.close()
            for timer in self._later.values():
                timer.cancel()

    async def _connect(self) -> EngineError:
        """Follows the engine for as long as it is there; returns why it no longer is."""
        try:
            # Subscribed first, read then: what changes in between is told.
            async with self._engine.events(time.time() - _OVERLAP) as events:
                self._begin(await self._engine.ids())
                return await self._follow(events)
        except EngineError as error:
            return error

    def _begin(self, ids: tuple[str, ...]) -> None:
        """Has all containers read, after those that are gone are forgotten."""
        if self.trouble.get():
            log.info("the container engine is back")
            self.trouble.set("")
        self._changes.clear()
        self._unread = set(ids)
        for gone in self._known.keys() - self._unread:
            self._forget(gone)
        for container in ids:
            self._changes.add(container)
        self._publish()

    async def _follow(self, events: AsyncIterator[Event | None]) -> EngineError:
        # Nothing in the group raises: a group that fails just when it is cancelled forgets that it was (Python < 3.13).
        problem: asyncio.Future[EngineError] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            parts = [self._listen(events), *(self._read() for _ in range(_READERS))]
            tasks = [group.create_task(_until_problem(part, problem)) for part in parts]
            await problem
            for task in tasks:
                task.cancel()
        return problem.result()

    async def _listen(self, events: AsyncIterator[Event | None]) -> None:
        with contextlib.ExitStack() as stack:
            ahead = self._get_ahead(stack)
            async for event in events:
                # Podman opens its file a moment after it has answered; at its first event it has.
                ahead = ahead or self._get_ahead(stack) or True
                self._heed(event)

    def _get_ahead(self, stack: contextlib.ExitStack) -> bool:
        """Follows the file of Podman's events, if there is one, until the stack is left."""
        if file := find_log(self._engine.socket):
            stack.enter_context(following(file, self._heed))
        return file is not None

    def _heed(self, event: Event | None) -> None:
        """Notes where an event says to look; one that cannot be placed says everywhere."""
        match event:
            case Event(kind="container", action=action, container=container):
                self._heed_container(container, action)
            case Event(kind="network", action="connect" | "disconnect", container=container) if (
                container in self._known
            ):
                self._changes.add(container)
            case None | Event(kind="network", action="connect" | "disconnect"):
                for container in self._known:
                    self._changes.add(container)

    def _heed_container(self, container: str, action: str) -> None:
        if action in _REMOVED:
            self._forget(container)
            self._publish()
            # Somebody may be reading it right now, and would bring it back.
            self._changes.add(container)
        elif action in _CHANGED:
            self._changes.add(container)
        elif action == "exec_died" and self._has_health(container):
            self._changes.add(container)
            self._add_later(container, _RESULT_KEPT)

    def _has_health(self, container: str) -> bool:
        return container in self._known and self._known[container].health != ""

    async def _read(self) -> None:
        while True:
            container = await self._changes.take()
            try:
                self._take(container, await self._engine.inspect(container))
            except AnswerError as error:
                self._fail(container, error)
            finally:
                self._changes.done(container)

    def _take(self, container: str, found: Container | None) -> None:
        self._unread.discard(container)
        self._failures.pop(container, None)
        if found is None:
            self._forget(container)
        else:
            # The end of a process is known here first; its engine may take a moment to see it.
            self._known[container] = found if self._endings.watch(found) else _ended(found)
        self._publish()

    def _fail(self, container: str, error: AnswerError) -> None:
        """Leaves a container as it was, and has it read again after a while."""
        failures = self._failures[container] = self._failures.get(container, 0) + 1
        if failures == 1:
            log.warning("a container stays as it was, since its engine does not describe it", error=str(error))
        self._unread.discard(container)
        self._add_later(container, _RETRY.delay(failures, 0.0))
        self._publish()

    def _add_later(self, container: str, delay: float) -> None:
        if timer := self._later.get(container):
            timer.cancel()
        self._later[container] = asyncio.get_running_loop().call_later(delay, self._changes.add, container)

    def _process_ended(self, container: str) -> None:
        self.on_end(container)
        self._known[container] = _ended(self._known[container])
        self._publish()
        self._changes.add(container)

    def _forget(self, container: str) -> None:
        self._known.pop(container, None)
        self._failures.pop(container, None)
        self._endings.forget(container)
        if timer := self._later.pop(container, None):
            timer.cancel()

    def _publish(self) -> None:
        published = self.containers.get()
        is_first = published is None and not self._unread
        if is_first or (published is not None and published != self._known):
            self.containers.set(dict(self._known))


async def _until_problem(part: Coroutine[None, None, None], problem: asyncio.Future[EngineError]) -> None:
    try:
        await part
    except EngineError as error:
        if not problem.done():
            problem.set_result(error)


def _ended(container: Container) -> Container:
    networks = tuple(one.left() for one in container.networks)
    return dataclasses.replace(container, state="exited", pid=0, netns="", networks=networks)
