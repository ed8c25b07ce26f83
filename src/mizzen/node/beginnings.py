"""Containers that are about to start: the connections of those that are to be members wait before anything runs in them.

A hook of the engine tells of them (``engine/hooks.py``), and they start when it is answered. Soon after, the engine's
events tell the same, and the container is attached (``members.py``), which takes over what was prepared here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from mizzen.node.capture.attaching import Attachments, Prepared
from mizzen.node.capturing import CaptureError
from mizzen.node.engine.hooks import Beginning
from mizzen.node.engine.watching import ContainerWatch
from mizzen.registry.containers import Container, Described, describe, exact_names
from mizzen.registry.membership import EVERYTHING, OUTSIDE, Run, decide, run_of
from mizzen.registry.reports import Attachment

log = structlog.get_logger(__name__)

# How long a container may take to start when its network is made, in seconds.
_LONGEST = 10.0
# The same for one of which nothing is known, which may have opted out.
_LONGEST_UNKNOWN = 1.0
# How long it takes to read a container that was just made; longer, if it is being started already.
_KNOWN_SOON = 0.05


@dataclass(frozen=True)
class _Preparation:
    """``until`` is when the container must have started, in the loop's time."""

    prepared: Prepared
    until: float


class Beginnings:
    """``changed`` is called when :meth:`let_go` should be."""

    def __init__(self, watch: ContainerWatch, capture: Attachments, changed: Callable[[], None]) -> None:
        self._watch = watch
        self._capture = capture
        self._changed = changed
        self._prepared: dict[str, _Preparation] = {}

    async def take(self, beginning: Beginning, attachments: Collection[Attachment]) -> None:
        """Has the connections of a container wait, if it is to be a member by what is attached."""
        known = await self._find(beginning.id)
        if not self._may_be_member(known, attachments):
            return
        if await asyncio.to_thread(_is_shared, beginning.pid):
            return  # Whoever was there first decides, and would lose its connections.
        try:
            prepared = await self._capture.prepare(f"/proc/{beginning.pid}/ns/net", beginning.resolv_conf)
        except CaptureError as error:
            # Why it cannot be a member is told when it runs.
            log.info("a container starts without being held", container=beginning.id[:12], reason=str(error))
            return
        loop = asyncio.get_running_loop()
        longest = _LONGEST if known else _LONGEST_UNKNOWN
        earlier = self._prepared.get(beginning.id)
        self._prepared[beginning.id] = _Preparation(prepared, loop.time() + longest)
        loop.call_later(longest, self._changed)
        if earlier:  # That start has failed.
            await self._capture.let_go(earlier.prepared)

    async def let_go(self, containers: Mapping[str, Container], wanted: Collection[Run]) -> None:
        """Lets go of those that are no members after all, or have not started."""
        now = asyncio.get_running_loop().time()
        leaving = []
        for id_, preparation in self._prepared.items():
            container = containers.get(id_)
            has_started = container is not None and container.pid != 0
            if container and has_started and run_of(container) in wanted:
                continue  # It is attached, or about to be; it is forgotten when it has ended.
            if has_started or now >= preparation.until:
                leaving.append(id_)
        for preparation in [self._prepared.pop(id_) for id_ in leaving]:
            await self._capture.let_go(preparation.prepared)

    async def _find(self, id_: str) -> Container | None:
        """Returns a container as it is known; None if its engine is too busy with it to say."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KNOWN_SOON):
                await self._watch.containers.until(lambda found: found is not None and id_ in found)
        return (self._watch.containers.get() or {}).get(id_)

    def _may_be_member(self, container: Container | None, attachments: Collection[Attachment]) -> bool:
        """Says whether a container is to be a member, as far as it is known."""
        if container is None:
            # While the engine is away it may take long to learn, and somebody who has opted out must not wait.
            return not self._watch.trouble.get() and any(
                one.target == EVERYTHING and one.proxy != OUTSIDE for one in attachments
            )
        exact = exact_names((self._watch.containers.get() or {}).values())
        return decide(attachments, container, exact).proxy != OUTSIDE and isinstance(describe(container), Described)


def _is_shared(pid: int) -> bool:
    """Says whether other processes live in the network namespace of a process: those of another container."""
    number = _namespace(Path(f"/proc/{pid}"))
    others = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != str(pid))
    return number is None or any(_namespace(entry) == number for entry in others)


def _namespace(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:  # It has ended.
        return None
