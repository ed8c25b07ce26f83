"""What `mizzen run` and the node of its host tell each other, over a Unix socket: one JSON object a line.

    mizzen run                                node
    Wish           ─────────────────────────▶   place, certificate, proxy
                   ◀─────────────────────────   Go (or Refused: the end)
    Started        ─────────────────────────▶   probe, endpoint
                   ◀─────────────────────────   Ready, Told
    Leave          ─────────────────────────▶   endpoint withdrawn, acknowledged, drained
                   ◀─────────────────────────   End
    Ended          ─────────────────────────▶   proxy and place go
                   ◀─────────────────────────   Gone

The connection is the run: whichever side it breaks for, the other has gone. The control plane has no part in it, so it
may come and go.
"""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from mizzen.registry.reports import DesiredWorkload, InstancePort, OutboundPort

LONGEST_LINE = 16 * 1024 * 1024
"""A line may hold a whole environment, for which Linux allows some megabytes."""

MessageT = TypeVar("MessageT")


class RunPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the command runs: all that :class:`mizzen.node.capturing.Place` says of it, with the ports towards services."""

    instance: str
    ports: tuple[InstancePort, ...] = ()
    http_proxy: int = 0
    outbound: tuple[OutboundPort, ...] = ()
    netns: str = ""
    resolv_conf: str = ""

    @property
    def taken(self) -> tuple[int, ...]:
        """The ports of the host that belong to it (explicit capture), but for those on which the command listens."""
        inbound = (port.inbound for port in self.ports)
        return (*inbound, *(port.local for port in self.outbound), *([self.http_proxy] if self.http_proxy else []))


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was in the mesh when its node ended, and whose command has gone on (explicit capture)."""

    place: RunPlace
    pid: int
    started: float


class Wish(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``services`` are the names by which others call it; ``env`` is the environment that the command would have."""

    workload: DesiredWorkload
    services: tuple[str, ...] = ()
    env: dict[str, str] = {}
    again: Again | None = None


class Started(msgspec.Struct, frozen=True, tag=True):
    """The command runs: ``pid`` is its process and its process group."""

    pid: int


class Leave(msgspec.Struct, frozen=True, tag=True):
    """The command shall end in good order."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The command has ended, or will never be started."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    message: str


class Go(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The proxy is ready: start the command. ``env`` is its whole environment."""

    place: RunPlace
    env: dict[str, str]


class Told(msgspec.Struct, frozen=True, tag=True):
    """Something that whoever started the run should know, in words."""

    message: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It is ready, and every proxy of the mesh knows."""


class End(msgspec.Struct, frozen=True, tag=True):
    """Nobody calls it any more: end the command, and kill it after ``grace`` seconds."""

    grace: float


class Gone(msgspec.Struct, frozen=True, tag=True):
    """Its proxy and its place are no more."""


FromRun: TypeAlias = Wish | Started | Leave | Ended
FromNode: TypeAlias = Refused | Go | Told | Ready | End | Gone


class Link(Generic[MessageT]):
    """One side of a connection. ``kind`` is the type of what comes from the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder: msgspec.json.Decoder[MessageT] = msgspec.json.Decoder(kind)

    def send(self, message: FromRun | FromNode) -> None:
        """Sends in order, without waiting; what the other side does not take any more is lost."""
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message) + b"\n")

    async def receive(self) -> MessageT | None:
        """Returns the next message, or None at the end. Raises msgspec.DecodeError for what is none."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):  # reset, or a line of absurd length
            return None
        return self._decoder.decode(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Ends the connection when all that was sent has gone out."""
        self._writer.close()
