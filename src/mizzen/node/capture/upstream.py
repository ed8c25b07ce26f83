"""Asks other DNS servers what the mesh cannot answer: the host's own, or those of a container.

Questions and answers pass as they are. As glibc does: servers in their order, the next one after a time-out or a
failure, TCP when an answer over UDP was cut. Each question has a socket of its own, connected to the server, so its
port is random and answers from elsewhere never arrive. Used by ``nameserver.py``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import structlog

from mizzen.node.capture.answers import is_truncated

log = structlog.get_logger(__name__)

Server = tuple[str, int]

_HEADER = 12  # bytes, RFC 1035 4.1.1
_FAILURES = frozenset({2, 4, 5})  # SERVFAIL, NOTIMP, REFUSED: another server may know better


@dataclass(frozen=True)
class ResolverConfiguration:
    """What a resolv.conf says: its servers and the domains that it searches."""

    servers: tuple[Server, ...]
    searched: tuple[str, ...]

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """The servers' IPv4 addresses."""
        parsed = [ip_address(host.partition("%")[0]) for host, _ in self.servers]
        return tuple(address for address in parsed if isinstance(address, IPv4Address))


def parse_resolv_conf(text: str) -> ResolverConfiguration:
    """Reads a resolv.conf by the rules of resolv.conf(5): the last search or domain line counts."""
    servers: list[Server] = []
    searched: tuple[str, ...] = ()
    for line in text.splitlines():
        match line.split("#")[0].split(";")[0].split():
            case ["nameserver", address, *_] if _is_address(address):
                servers.append((address, 53))
            case ["search" | "domain", *domains]:
                searched = tuple(domain.rstrip(".") for domain in domains if domain != ".")
    return ResolverConfiguration(tuple(servers) or (("127.0.0.1", 53),), searched)


@dataclass
class Resolvers:
    """A resolv.conf, the host's or a container's, read again when the file changes: a laptop moves from network to network."""

    file: Path = Path("/etc/resolv.conf")
    _read: tuple[int, ResolverConfiguration] | None = None

    def configuration(self) -> ResolverConfiguration:
        try:
            changed = self.file.stat().st_mtime_ns
            if self._read is None or self._read[0] != changed:
                self._read = (changed, parse_resolv_conf(self.file.read_text(errors="replace")))
        except OSError as error:
            if self._read is None:
                log.warning("cannot read which DNS servers there are", file=str(self.file), error=str(error))
                return parse_resolv_conf("")
        return self._read[1]

    def servers(self) -> Sequence[Server]:
        return self.configuration().servers


def resolver_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    """Makes a non-blocking socket in the namespace of this process."""
    made = socket.socket(family, kind)
    made.setblocking(False)
    return made


@dataclass
class Upstream:
    """The DNS servers to ask; ``timeout`` is in seconds, for each server and each protocol.

    ``new_socket`` makes a non-blocking socket from which a server is asked; its OSErrors count as the server's.
    """

    servers: Callable[[], Sequence[Server]]
    timeout: float = 2.0
    new_socket: Callable[[socket.AddressFamily, socket.SocketKind], socket.socket] = resolver_socket

    async def resolve(self, query: bytes) -> bytes | None:
        """Returns the answer of the first server that gives one; else the last failure that a server reported, or None.

        An answer is complete, whatever its size: it may be too long for the client's UDP.
        """
        reported: bytes | None = None
        for server in self.servers():
            try:
                response = await self._ask(server, query)
            except (OSError, EOFError) as error:
                # TimeoutError is an OSError.
                log.debug("a DNS server did not answer", server=server[0], error=repr(error))
                continue
            if response[3] & 0x0F not in _FAILURES:
                return response
            reported = response
        return reported

    async def _ask(self, server: Server, query: bytes) -> bytes:
        async with asyncio.timeout(self.timeout):
            response = await _ask_udp(await self._connected(server, socket.SOCK_DGRAM), query)
        if is_truncated(response):
            async with asyncio.timeout(self.timeout):
                return await _ask_tcp(await self._connected(server, socket.SOCK_STREAM), query)
        return response

    async def _connected(self, server: Server, kind: socket.SocketKind) -> socket.socket:
        made = self.new_socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, kind)
        try:
            await asyncio.get_running_loop().sock_connect(made, server)
        except BaseException:
            made.close()
            raise
        return made


class _Question(asyncio.DatagramProtocol):
    """One question over UDP; ``answered`` gets the first packet that answers it, or the socket's error."""

    def __init__(self, query: bytes, answered: asyncio.Future[bytes]) -> None:
        self._query = query
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        if _answers(data, self._query) and not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


async def _ask_udp(connected: socket.socket, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Question(query, answered), sock=connected)
    try:
        transport.sendto(query)
        return await answered
    finally:
        transport.close()


async def _ask_tcp(connected: socket.socket, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(sock=connected)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        response = await reader.readexactly(length)
    finally:
        writer.close()
    if not _answers(response, query):
        raise OSError("the answer is not to the question")
    return response


def _answers(response: bytes, query: bytes) -> bool:
    return len(response) >= _HEADER and response[:2] == query[:2] and bool(response[2] & 0x80)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
