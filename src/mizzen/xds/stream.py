"""One gRPC stream: three tasks bring events to one loop, which feeds the session and writes what it says.

The same loop serves both variants of the protocol and every service; the decisions are all in ``session`` and below.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from typing import Generic, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from mizzen.compile.resource import TypeUrl
from mizzen.xds.session import Dialect, ProtocolError, RequestT, Session, Shared

log = structlog.get_logger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

_QUEUED_EVENTS = 64


class _Event(enum.Enum):
    CHANGED = "the source has a new version"
    ENDED = "the client will send nothing more, or the server is stopping"
    OVERDUE = "something was waited for long enough"


class Stream(Generic[RequestT]):
    """One stream of one client."""

    def __init__(
        self, shared: Shared, dialect: Dialect[RequestT], only: TypeUrl | None, closing: asyncio.Event
    ) -> None:
        self._shared = shared
        self._dialect = dialect
        self._session = Session(shared, dialect, only)
        self._closing = closing
        self._inbox: asyncio.Queue[RequestT | _Event] = asyncio.Queue(_QUEUED_EVENTS)

    async def run(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Serves the stream until the client leaves, breaks the protocol, or the server stops."""
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [tasks.create_task(self._read(requests)), tasks.create_task(self._await_closing())]
                first = await self._inbox.get()
                if isinstance(first, _Event):
                    return self._cancel(helpers)
                self._session.receive(first)
                helpers.append(tasks.create_task(self._watch()))
                await self._serve(context)
                self._cancel(helpers)
        except* (ProtocolError, DecodeError) as group:
            text = "; ".join(str(error) for error in group.exceptions)
            log.warning("bad request", error=text)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        finally:
            self._session.close()

    def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()

    async def _serve(self, context: Context) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            for response in self._session.take(now):
                await context.write(response)
            match event := await self._next(self._session.deadline(now)):
                case _Event.ENDED:
                    return
                case _Event.CHANGED:
                    self._session.refresh()
                case _Event.OVERDUE:
                    pass
                case _:
                    self._session.receive(event)

    async def _next(self, deadline: float | None) -> RequestT | _Event:
        if deadline is None or not self._inbox.empty():
            return await self._inbox.get()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._inbox.get()
        except TimeoutError:
            return _Event.OVERDUE

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            await self._inbox.put(self._dialect.parse(data))
        await self._inbox.put(_Event.ENDED)

    async def _watch(self) -> None:
        version = self._session.target or 0
        while True:
            version = await self._shared.source.changed(version)
            await self._inbox.put(_Event.CHANGED)

    async def _await_closing(self) -> None:
        await self._closing.wait()
        await self._inbox.put(_Event.ENDED)
