"""The host's resolvers, played by servers on loopback."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from mizzen.node.capture.upstream import Resolvers, Server, Upstream, parse_resolv_conf, resolver_socket

QUERY = dns.message.make_query("example.com.", "A")
WIRE = QUERY.to_wire()


def response(*, truncated: bool = False, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    made = dns.message.make_response(QUERY)
    made.set_rcode(code)
    if truncated:
        made.flags |= dns.flags.TC
    return made.to_wire()


class Resolver(asyncio.DatagramProtocol):
    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.asked = 0

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        for answer in self.answers:
            self.transport.sendto(answer, addr)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def start(stack: AsyncExitStack, *answers: bytes) -> tuple[Server, Resolver]:
    loop = asyncio.get_running_loop()
    transport, resolver = await loop.create_datagram_endpoint(lambda: Resolver(*answers), ("127.0.0.1", 0))
    stack.callback(transport.close)
    return transport.get_extra_info("sockname"), resolver


async def start_tcp(stack: AsyncExitStack, server: Server, handle: Callable[[bytes], bytes]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        writer.write(handle(await reader.readexactly(length)))
        writer.close()

    opened = await asyncio.start_server(serve, *server)
    stack.callback(opened.close)


def framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


async def test_the_first_server_answers(stack: AsyncExitStack) -> None:
    first, _ = await start(stack, response())
    second, unused = await start(stack, response())
    assert await Upstream(lambda: [first, second]).resolve(WIRE) == response()
    assert unused.asked == 0


async def test_a_silent_server_is_passed_over(stack: AsyncExitStack) -> None:
    silent, asked = await start(stack)
    good, _ = await start(stack, response())
    assert await Upstream(lambda: [silent, good], timeout=0.01).resolve(WIRE) == response()
    assert asked.asked == 1


async def test_a_server_that_is_not_there_is_passed_over_at_once(stack: AsyncExitStack) -> None:
    gone, _ = await start(stack)
    await stack.aclose()
    good, _ = await start(stack, response())
    async with asyncio.timeout(5):
        assert await Upstream(lambda: [gone, good], timeout=60).resolve(WIRE) == response()


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
async def test_a_failure_is_the_answer_only_if_no_server_knows_better(
    stack: AsyncExitStack, code: dns.rcode.Rcode
) -> None:
    failing, _ = await start(stack, response(code=code))
    good, _ = await start(stack, response())
    assert await Upstream(lambda: [failing, good]).resolve(WIRE) == response()
    assert await Upstream(lambda: [failing]).resolve(WIRE) == response(code=code)


async def test_a_name_that_does_not_exist_is_an_answer(stack: AsyncExitStack) -> None:
    first, _ = await start(stack, response(code=dns.rcode.NXDOMAIN))
    second, unused = await start(stack, response())
    assert await Upstream(lambda: [first, second]).resolve(WIRE) == response(code=dns.rcode.NXDOMAIN)
    assert unused.asked == 0


async def test_answers_to_other_questions_are_ignored(stack: AsyncExitStack) -> None:
    other = bytes([WIRE[0] ^ 1]) + response()[1:]
    server, _ = await start(stack, b"", b"short", other, WIRE, response())
    assert await Upstream(lambda: [server]).resolve(WIRE) == response()


async def test_a_cut_answer_is_fetched_over_tcp(stack: AsyncExitStack) -> None:
    server, _ = await start(stack, response(truncated=True))
    got: list[bytes] = []
    long = response() + b"\0" * 2000
    await start_tcp(stack, server, lambda query: got.append(query) or framed(long))  # type: ignore[func-returns-value]
    assert await Upstream(lambda: [server]).resolve(WIRE) == long
    assert got == [WIRE]


@pytest.mark.parametrize("bad", [b"", b"\0\20short", framed(WIRE)], ids=["nothing", "cut", "the question"])
async def test_a_bad_answer_over_tcp_is_no_answer(stack: AsyncExitStack, bad: bytes) -> None:
    server, _ = await start(stack, response(truncated=True))
    await start_tcp(stack, server, lambda _: bad)
    assert await Upstream(lambda: [server]).resolve(WIRE) is None


async def test_questions_are_asked_from_the_sockets_that_it_is_given(stack: AsyncExitStack) -> None:
    server, _ = await start(stack, response(truncated=True))
    await start_tcp(stack, server, lambda _: framed(response()))
    made: list[socket.socket] = []

    def new_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        made.append(resolver_socket(family, kind))
        return made[-1]

    assert await Upstream(lambda: [server], new_socket=new_socket).resolve(WIRE) == response()
    assert [one.type for one in made] == [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    # The loop closes them when it comes round again.
    await asyncio.sleep(0)
    assert [one.fileno() for one in made] == [-1, -1]


async def test_where_no_socket_can_be_made_no_server_answers(stack: AsyncExitStack) -> None:
    server, asked = await start(stack, response())

    def new_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        raise OSError("the network namespace has been let go")

    assert await Upstream(lambda: [server], new_socket=new_socket).resolve(WIRE) is None
    assert asked.asked == 0


async def test_a_server_with_an_ipv6_address_is_asked_over_ipv6() -> None:
    families = []

    def new_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        families.append(family)
        raise OSError("enough")

    await Upstream(lambda: [("::1", 53), ("127.0.0.1", 53)], new_socket=new_socket).resolve(WIRE)
    assert families == [socket.AF_INET6, socket.AF_INET]


def test_resolv_conf_is_read_by_its_rules() -> None:
    text = """
# nameserver 192.0.2.9
nameserver 192.0.2.1   # the first
nameserver fe80::1%eth0 ; link-local
nameserver not-an-address
domain old.example
search corp.example. .  lab.example
options ndots:1
nameserver
"""
    found = parse_resolv_conf(text)
    assert found.servers == (("192.0.2.1", 53), ("fe80::1%eth0", 53))
    assert found.searched == ("corp.example", "lab.example")
    assert [str(address) for address in found.addresses] == ["192.0.2.1"]


def test_without_a_server_it_is_loopback() -> None:
    assert parse_resolv_conf("").servers == (("127.0.0.1", 53),)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\n")
    resolvers = Resolvers(file)
    assert resolvers.servers() == (("192.0.2.1", 53),)
    file.write_text("nameserver 192.0.2.2\n")
    os.utime(file, ns=(1, 1))
    assert resolvers.servers() == (("192.0.2.2", 53),)
    file.unlink()
    assert resolvers.servers() == (("192.0.2.2", 53),)


def test_a_host_without_the_file_asks_loopback(tmp_path: Path) -> None:
    assert Resolvers(tmp_path / "none").servers() == (("127.0.0.1", 53),)
