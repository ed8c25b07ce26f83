"""Carries the bytes of one forwarded connection in both directions, half-closed ends included."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mizzen.cli.output import note

if TYPE_CHECKING:
    from mizzen.cli.forwarding import Target

_CHUNK = 65536
_HOST = "127.0.0.1"


class Tunnel:
    """Connects each client that comes to the target."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client until both ends are closed. A target that is away closes the client's connection."""
        try:
            upstream_reader, upstream_writer = await self._connect()
        except OSError as error:
            note(f"error: the application does not take connections on port {self._target.port}: {error.strerror}")
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, upstream_writer))
                group.create_task(_pump(upstream_reader, writer))
        except* ConnectionError:
            pass  # One end was reset; both are closed below, which is what the other end has to learn.
        finally:
            for end in (writer, upstream_writer):
                end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._target.netns:
            return await asyncio.open_connection(_HOST, self._target.port)
        from mizzen.node.capture.entering import connect_in

        connected = await connect_in(self._target.netns, _HOST, self._target.port)
        return await asyncio.open_connection(sock=connected)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
