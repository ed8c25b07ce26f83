"""How far each connected proxy is: per type, and as a whole; and what proxies rejected.

:class:`Fleet` is where the streams (``session``, the neighbour that writes here) are seen from outside: ``mizzen
status`` reads it, ``mizzen apply`` waits on it. It knows live proxies only: one that disconnects is forgotten.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mizzen.compile.resource import TypeUrl
from mizzen.resources.key import Key
from mizzen.xds.source import Node


class State(enum.StrEnum):
    """Where a proxy stands with one type, in the words of ``istioctl proxy-status``."""

    SYNCED = "SYNCED"
    STALE = "STALE"
    NOT_SENT = "NOT SENT"
    ERROR = "ERROR"
    IGNORED = "IGNORED"


@dataclass(frozen=True)
class Rejection:
    """A proxy refused a resource (NACK), in Envoy's words.

    ``snapshot`` is the version of the snapshot that the proxy is being brought to, and ``superseded`` says that it has the
    resource in another form, or not at all. ``origins`` are the users' resources that shaped it; ``accepted_origins`` those
    of the version that the proxy goes on with: what is only among the former is the likely culprit. ``time`` is in Unix
    seconds.
    """

    proxy: str
    type_url: TypeUrl
    resource: str
    version: str
    message: str
    snapshot: int
    origins: tuple[Key, ...] = ()
    accepted_origins: tuple[Key, ...] = ()
    superseded: bool = False
    time: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class TypeStatus:
    """One proxy and one type: times are Unix seconds, of the last response and of the last ACK."""

    state: State
    resources: int = 0
    sent: float | None = None
    acked: float | None = None
    error: str = ""


@dataclass(frozen=True)
class ProxyStatus:
    """One connected proxy; ``types`` is by short name (CDS, EDS, LDS, RDS, and others that it asked for).

    ``version`` is the newest snapshot that the proxy has acknowledged in full, or None.
    """

    node: Node
    connected_since: float
    version: int | None
    types: Mapping[str, TypeStatus]
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What :meth:`Fleet.wait` needs to know of one proxy.

    ``target`` is the version that it is being brought to (None: the proxy has no configuration), ``pending`` the types
    that are on the way, each with the earliest version that has something of that, ``rejections`` what it refuses of
    ``target``. What is older than ``first`` it never had, nor will.
    """

    target: int | None
    pending: Mapping[str, int]
    rejections: tuple[Rejection, ...]
    first: int = 0

    def lacks(self, version: int) -> tuple[str, ...] | None:
        """Returns the types that are on the way to a version, or None if nothing of it is."""
        if version < self.first:
            return None
        on_the_way = tuple(sorted(name for name, since in self.pending.items() if since <= version))
        return on_the_way if on_the_way or (self.target or 0) < version else None


@dataclass(frozen=True)
class Progress:
    """How far the live proxies are with a version.

    ``synced`` have it in full. ``pending`` have types yet to send or to acknowledge. ``rejected`` are settled, without
    some of it. All by the proxy's name (``reviews-v1-0.default``).
    """

    version: int
    synced: tuple[str, ...] = ()
    pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejected: Mapping[str, tuple[Rejection, ...]] = field(default_factory=dict)


class Member(Protocol):
    """A connected proxy, as the fleet sees it."""

    @property
    def node(self) -> Node: ...
    def status(self) -> ProxyStatus: ...
    def standing(self) -> Standing: ...


class Fleet:
    """All proxies that are connected now."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._changed = asyncio.Event()

    def join(self, member: Member) -> None:
        """Adds a proxy; a reconnected one takes the place of its old stream, which may be noticed to be dead later."""
        self._members[member.node.id] = member
        self.notify()

    def leave(self, member: Member) -> None:
        if self._members.get(member.node.id) is member:
            del self._members[member.node.id]
            self.notify()

    def notify(self) -> None:
        """Wakes those who wait: some proxy's standing changed."""
        self._changed.set()

    def proxies(self) -> list[ProxyStatus]:
        """Returns the status of every connected proxy, by name."""
        return sorted((member.status() for member in self._members.values()), key=lambda status: status.node.proxy)

    def progress(self, version: int, live: Iterable[str] = ()) -> Progress:
        """Returns how far the proxies are with ``version``: those that are connected, and those that are known to be
        ``live``, by name. Connected ones without any configuration do not count.
        """
        synced: list[str] = []
        connected = {member.node.proxy for member in self._members.values()}
        pending: dict[str, tuple[str, ...]] = {name: () for name in live if name not in connected}
        rejected: dict[str, tuple[Rejection, ...]] = {}
        for member in self._members.values():
            standing, name = member.standing(), member.node.proxy
            if standing.target is None:
                continue
            if (lacked := standing.lacks(version)) is not None:
                pending[name] = lacked
            elif standing.rejections:
                rejected[name] = standing.rejections
            else:
                synced.append(name)
        return Progress(version, tuple(sorted(synced)), pending, rejected)

    async def wait(
        self,
        version: int,
        timeout: float,  # noqa: ASYNC109 - what is reached by then is the result
        live: Callable[[], Iterable[str]] = tuple,
    ) -> Progress:
        """Returns when no proxy has anything of ``version`` pending, or after ``timeout`` seconds.

        ``live`` tells which proxies are known to run. One that is not connected goes on with what it has, so it counts;
        after a restart of the control plane all of them are, for a moment.
        """
        try:
            async with asyncio.timeout(timeout):
                while (progress := self.progress(version, live())).pending:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return self.progress(version, live())
        return progress
