"""The DNS servers of one namespace: UDP and TCP, on sockets that were opened inside it.

They run in the node's process, answer from the mesh's names at once and pass other questions to ``upstream.py``.
Their tasks belong to the group of whoever opened them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import structlog

from mizzen.compile.names import PROXY_DNS_PORT
from mizzen.node.capture import answers, rules
from mizzen.node.capture.answers import Asker, Forward, MalformedQueryError, NameTable
from mizzen.node.capture.upstream import Upstream

log = structlog.get_logger(__name__)

_MOST_TASKS = (
    512  # questions under way and TCP connections, of one instance; a client whose packet is dropped asks again
)
_IDLE = 10.0  # seconds until a TCP connection without a question is closed (RFC 7766, 6.2.3)


@dataclass
class Names:
    """The names that all instances of a mesh can call; ``table`` is replaced as a whole."""

    table: NameTable = field(default_factory=NameTable)


@dataclass
class Counts:
    """What a server has done: all questions, those passed on, packets that were none, questions dropped under load."""

    questions: int = 0
    forwarded: int = 0
    malformed: int = 0
    dropped: int = 0


class DnsSockets(NamedTuple):
    """The sockets of both servers of a namespace, UDP and TCP: the application's, and its proxy's."""

    udp: socket.socket
    tcp: socket.socket
    proxy_udp: socket.socket
    proxy_tcp: socket.socket


def dns_sockets() -> DnsSockets:
    """Makes the sockets in the namespace of the calling thread: where the rules send questions, and where Envoy asks."""
    with contextlib.ExitStack() as undo:
        own = _sockets(rules.DNS_PORT)
        for opened in own:
            undo.callback(opened.close)
        sockets = DnsSockets(*own, *_sockets(PROXY_DNS_PORT))
        undo.pop_all()
    return sockets


def _sockets(port: int) -> tuple[socket.socket, socket.socket]:
    with contextlib.ExitStack() as undo:
        udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        udp.setblocking(False)
        tcp.setblocking(False)
        # A server that has gone leaves closed connections, which must not keep the next one from starting.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("127.0.0.1", port))
        tcp.bind(("127.0.0.1", port))
        tcp.listen()
        undo.pop_all()
    return udp, tcp


class NameServer(asyncio.DatagramProtocol):
    """Answers the questions of one instance.

    ``searched`` says which domains its resolver appends to names (see :func:`answers.answer`).
    """

    def __init__(
        self,
        client: Asker,
        names: Names,
        upstream: Upstream,
        group: asyncio.TaskGroup,
        searched: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.counts = Counts()
        self._client = client
        self._names = names
        self._upstream = upstream
        self._group = group
        self._searched = searched
        self._stopping = False
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> Self:
        """Serves on two bound sockets, of which ``tcp`` listens; they are closed by :meth:`stop`."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        # A plain function, not a coroutine: its tasks would not be in the group.
        self._server = await asyncio.start_server(self._connected, sock=tcp)
        return self

    async def stop(self) -> None:
        """Stops serving and ends what is under way; after it no socket is open."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._transport is not None:
            # Last, for the loop closes sockets in the order in which it was told to.
            self._transport.close()
            await self._ended.wait()

    # UDP

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        found = self._answer(data)
        if isinstance(found, Forward):
            self._start(self._forward(data, found, addr))
        elif found is not None:
            self._send(found, addr)

    def error_received(self, exc: Exception) -> None:
        # The client went away before its answer; nobody is left to tell.
        log.debug("a DNS answer was not delivered", error=str(exc))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._ended.set()

    async def _forward(self, query: bytes, forward: Forward, client: tuple[str, int]) -> None:
        response = await self._resolve(query)
        self._send(response if len(response) <= forward.limit else answers.truncated(query), client)

    def _send(self, response: bytes, client: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(response, client)

    # TCP

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._start(self._serve(reader, writer))
        if task is None:
            writer.close()
        else:
            task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (query := await _read(reader)) is not None:
                response = await self._respond(query)
                if response is None:
                    return
                writer.write(struct.pack("!H", len(response)) + response)
                async with asyncio.timeout(_IDLE):
                    await writer.drain()
        except OSError as error:
            log.debug("a DNS connection broke", error=str(error))

    async def _respond(self, query: bytes) -> bytes | None:
        found = self._answer(query)
        return await self._resolve(query) if isinstance(found, Forward) else found

    # Both

    def _answer(self, query: bytes) -> bytes | Forward | None:
        self.counts.questions += 1
        try:
            return answers.answer(query, self._names.table, self._client, self._searched())
        except MalformedQueryError as error:
            self.counts.malformed += 1
            log.debug("ignored a malformed DNS question", error=str(error))
            return None

    async def _resolve(self, query: bytes) -> bytes:
        self.counts.forwarded += 1
        return await self._upstream.resolve(query) or answers.failure(query)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        if self._stopping or len(self._tasks) >= _MOST_TASKS:
            self.counts.dropped += 1
            work.close()
            return None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class NameServers:
    """Both servers of a namespace. The proxy's knows no name of the mesh: what leads the application into its proxy would
    lead the proxy nowhere, so that one is answered as the world outside is.
    """

    def __init__(
        self,
        client: Asker,
        names: Names,
        upstream: Upstream,
        group: asyncio.TaskGroup,
        searched: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._own = NameServer(client, names, upstream, group, searched)
        self._proxys = NameServer(client, Names(), upstream, group)

    async def start(self, sockets: DnsSockets) -> None:
        """Serves on the sockets, which are closed by :meth:`stop`."""
        await self._own.start(sockets.udp, sockets.tcp)
        await self._proxys.start(sockets.proxy_udp, sockets.proxy_tcp)

    async def stop(self) -> None:
        """See :meth:`NameServer.stop`."""
        await self._own.stop()
        await self._proxys.stop()


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """Returns the next question, or None when the client has closed or has been silent for long."""
    try:
        async with asyncio.timeout(_IDLE):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, TimeoutError):
        return None
