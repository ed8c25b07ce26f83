"""What all instances of a node share, handed to each of them by the composition root (agent.py)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mizzen.mesh.localities import Locality, locality_of, parse_locality
from mizzen.node.announcing import Board
from mizzen.node.backoff import Backoff
from mizzen.node.capturing import Capture
from mizzen.node.events import Event
from mizzen.node.file_secrets import FileSecrets
from mizzen.node.gateway_ports import GatewayPorts
from mizzen.node.leftovers import Records
from mizzen.node.starts import Starts
from mizzen.registry.reports import ServiceName
from mizzen.settings import Settings


class StartError(Exception):
    """The mesh cannot start as it is written or on this machine; the text is for the user: what, where, what to do."""


class Identities(Protocol):
    """Holds certificates for proxies: see sds.py. ``files`` are others, which users keep."""

    @property
    def files(self) -> FileSecrets: ...

    async def hold(self, namespace: str, instance: str, service_account: str) -> None:
        """Returns when the proxy of an instance can have its certificate, and keeps it fresh from then on."""
        ...

    def release(self, namespace: str, instance: str) -> None:
        """The proxy is gone; does nothing for one that is not held."""
        ...


class Acknowledging(Protocol):
    async def acknowledged(self, version: int, longest: float) -> bool:
        """Waits until every live proxy has a version, for at most ``longest`` seconds; returns whether all have it.

        A control plane that is away is waited for, however long it takes.
        """
        ...


@dataclass(frozen=True)
class Host:
    """``starting`` says whether the mesh has never been ready: what cannot be started then raises
    :class:`StartError`; later it is tried again. ``services`` gives what applications may call by name, ``env`` is the
    environment that applications inherit, ``starts`` say how Envoys are started.
    """

    settings: Settings
    version: str
    capture: Capture
    board: Board
    control: Acknowledging
    identities: Identities
    records: Records
    emit: Callable[[Event], None]
    starting: Callable[[], bool]
    services: Callable[[], tuple[ServiceName, ...]]
    env: Mapping[str, str]
    starts: Starts = field(default_factory=Starts)
    gateway_ports: GatewayPorts = field(default_factory=GatewayPorts)
    backoff: Backoff = field(default_factory=Backoff)
    chance: random.Random = field(default_factory=random.Random)

    async def acknowledged(self, longest: float) -> None:
        """Waits until all proxies know what was reported so far: that nobody is to call an instance any more, say.

        A control plane that is away cannot tell anybody: then time decides, ``longest`` in seconds.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                version = await self.board.delivered()
                await self.control.acknowledged(version, longest)

    def locality(self, labels: Mapping[str, str]) -> Locality:
        """Returns where an instance with these labels is: where they say, else where the node is."""
        return locality_of(labels, parse_locality(self.settings.locality))

    def delay(self, failures: int) -> float:
        """Returns how many seconds to wait after that many failures in a row."""
        return self.backoff.delay(failures, self.chance.random())
