"""Keeps the certificates of a node's workloads fresh: the asyncio shell around `renewal.py`.

The node adds and removes identities as workloads come and go, and hands in how a certificate is had (a call to the
control plane) and what becomes of it (its SDS server). A certificate stays in force until the next one is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from mizzen.identity import keys, renewal
from mizzen.identity.errors import IdentityError, IssueError
from mizzen.identity.health import Health
from mizzen.identity.renewal import KeyMaterial, Window
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import IssuedCertificate

log = structlog.get_logger(__name__)

Issue: TypeAlias = Callable[[str, SpiffeId], Awaitable[IssuedCertificate]]
Publish: TypeAlias = Callable[[SpiffeId, KeyMaterial], None]

_ISSUE_TIMEOUT = 20.0
# A machine that is suspended stops the event loop's clock, but not the life of its certificates: look at the
# wall clock at least this often.
_LONGEST_WAIT = 30.0


@dataclass
class _Held:
    """One identity's state. ``wake`` asks for a renewal at once, ``got`` is set as soon as there is a certificate."""

    window: Window | None = None
    failures: int = 0
    failure: str = ""
    task: asyncio.Task[None] | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    got: asyncio.Event = field(default_factory=asyncio.Event)


class Renewer:
    """Holds a current certificate for every identity that was added, as long as :meth:`run` runs.

    ``issue(csr, identity)`` gets a certificate; it raises :class:`IdentityError` or OSError when that fails, which is
    tried again without end; any other exception is a bug and ends :meth:`run`. ``publish`` is called with each new
    certificate. ``clock`` gives Unix time in seconds; ``chance`` is the source of the jitter.
    """

    def __init__(self, *, issue: Issue, publish: Publish, clock: Callable[[], float], chance: random.Random) -> None:
        self._issue = issue
        self._publish = publish
        self._clock = clock
        self._chance = chance
        self._held: dict[SpiffeId, _Held] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Renews until it is cancelled. Identities that were added before are started now."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for identity, held in self._held.items():
                    held.task = group.create_task(self._keep(identity, held), name=f"certificate {identity}")
                # The group must not end while it is empty.
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None

    def add(self, identity: SpiffeId) -> None:
        """Begins to hold a certificate for an identity; does nothing if that has begun already."""
        if identity in self._held:
            return
        held = self._held[identity] = _Held()
        if self._group:
            held.task = self._group.create_task(self._keep(identity, held), name=f"certificate {identity}")

    def remove(self, identity: SpiffeId) -> None:
        """Ends it; nothing is published for the identity after this. Does nothing for an unknown one."""
        held = self._held.pop(identity, None)
        if held is None:
            return
        if held.task:
            held.task.cancel()
        held.got.set()

    def renew(self) -> None:
        """Renews all certificates now, for instance because the roots have changed; old ones stay until then."""
        for held in self._held.values():
            held.wake.set()

    async def ready(self, identity: SpiffeId) -> None:
        """Returns as soon as the identity has a certificate. Raises KeyError if it was not added, or is removed."""
        held = self._held[identity]
        await held.got.wait()
        if self._held.get(identity) is not held:
            raise KeyError(identity)

    def health(self) -> dict[SpiffeId, Health]:
        """Returns how each certificate is now."""
        now = self._clock()
        return {
            identity: renewal.health(held.window, held.failure, now) for identity, held in sorted(self._held.items())
        }

    async def _keep(self, identity: SpiffeId, held: _Held) -> None:
        while True:
            held.wake.clear()
            try:
                await self._renew(identity, held)
            except (IdentityError, OSError) as error:
                held.failures += 1
                held.failure = str(error) or type(error).__name__
                delay = renewal.retry_delay(held.failures, held.window, self._chance.random())
                log.warning(
                    "certificate not renewed" if held.window else "no certificate yet",
                    identity=str(identity),
                    error=held.failure,
                    failures=held.failures,
                    retry_in=round(delay, 1),
                )
                await self._wait_until(self._clock() + delay, held.wake)

    async def _renew(self, identity: SpiffeId, held: _Held) -> None:
        """Gets and publishes one certificate, then waits until it must be renewed."""
        request = keys.new_request(identity)
        try:
            async with asyncio.timeout(_ISSUE_TIMEOUT):
                issued = await self._issue(request.csr, identity)
        except TimeoutError as error:
            raise IssueError("the authority did not answer in time") from error
        window = renewal.accept(issued, request.key, identity, self._clock())
        held.window, held.failures, held.failure = window, 0, ""
        self._publish(identity, KeyMaterial(request.key, issued.chain, issued.roots))
        held.got.set()
        log.debug("certificate renewed", identity=str(identity), not_after=window.not_after)
        await self._wait_until(renewal.renew_at(window, self._chance.random()), held.wake)

    async def _wait_until(self, moment: float, wake: asyncio.Event) -> None:
        """Waits until a moment of the wall clock, or until it is woken."""
        while not wake.is_set() and (left := moment - self._clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LONGEST_WAIT)):
                    await wake.wait()
