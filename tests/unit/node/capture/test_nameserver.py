"""The server on loopback sockets, as it runs inside a namespace."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from mizzen.node.capture import nameserver
from mizzen.node.capture.answers import Asker, failure, name_table
from mizzen.node.capture.nameserver import DnsSockets, Names, NameServer, NameServers
from mizzen.node.capture.upstream import Upstream
from mizzen.registry.reports import ServiceName

REVIEWS = ServiceName(
    host="reviews.default.svc.cluster.local", name="reviews", namespace="default", address="240.240.0.1", ports=(9080,)
)


class FakeUpstream(Upstream):
    """Answers with ``response`` once ``gate`` is open."""

    def __init__(self, response: bytes | None = None) -> None:
        super().__init__(list)
        self.response = response
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    async def resolve(self, query: bytes) -> bytes | None:
        self.waiting.set()
        await self.gate.wait()
        return self.response


@asynccontextmanager
async def serving(
    upstream: Upstream, names: Names | None = None, searched: Callable[[], Sequence[str]] = tuple
) -> AsyncIterator[tuple[NameServer, tuple[str, int]]]:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    tcp = socket.create_server(udp.getsockname())
    udp.setblocking(False)
    tcp.setblocking(False)
    async with asyncio.TaskGroup() as group:
        server = NameServer(Asker("default"), names or Names(name_table([REVIEWS])), upstream, group, searched)
        await server.start(udp, tcp)
        try:
            yield server, udp.getsockname()
        finally:
            await server.stop()


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received.put_nowait(data)


@asynccontextmanager
async def udp_client(
    address: tuple[str, int],
) -> AsyncIterator[tuple[Callable[[bytes], None], Callable[[], Awaitable[bytes]]]]:
    transport, client = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=address)
    try:
        yield transport.sendto, client.received.get
    finally:
        transport.close()


async def ask_tcp(address: tuple[str, int], *queries: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        responses = []
        for query in queries:
            writer.write(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            responses.append(await reader.readexactly(length))
        return responses
    finally:
        writer.close()


async def test_names_are_answered_over_udp_and_a_new_table_counts_at_once() -> None:
    names = Names()
    query = dns.message.make_query("reviews.default.svc.cluster.local.", "A")
    async with serving(FakeUpstream(), names) as (server, address), udp_client(address) as (send, receive):
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).rcode() == dns.rcode.NXDOMAIN
        names.table = name_table([REVIEWS])
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).answer[0][0].address == "240.240.0.1"
        assert (server.counts.questions, server.counts.forwarded) == (2, 0)


async def test_names_are_answered_over_tcp_several_on_one_connection() -> None:
    query = dns.message.make_query("reviews.", "A")
    async with serving(FakeUpstream()) as (_, address):
        for response in await ask_tcp(address, query.to_wire(), query.to_wire()):
            assert dns.message.from_wire(response).answer[0][0].address == "240.240.0.1"


async def test_domains_that_the_resolver_appends_are_those_of_the_moment() -> None:
    searched: list[str] = []
    query = dns.message.make_query("reviews.dns.podman.", "A")
    upstream = FakeUpstream(failure(query.to_wire()))
    async with serving(upstream, searched=lambda: searched) as (_, address), udp_client(address) as (send, receive):
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).rcode() == dns.rcode.SERVFAIL
        searched.append("dns.podman")
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).answer[0][0].address == "240.240.0.1"


async def test_when_it_has_stopped_no_socket_is_open_and_no_task_begins() -> None:
    upstream = FakeUpstream()
    upstream.gate.clear()
    query = dns.message.make_query("example.com.", "A").to_wire()
    async with serving(upstream) as (server, address), udp_client(address) as (send, _):
        assert server._transport is not None
        opened = server._transport.get_extra_info("socket")
        reader, writer = await asyncio.open_connection(*address)
        writer.write(struct.pack("!H", len(query)) + query)
        await upstream.waiting.wait()
        send(query)
        await server.stop()
        assert opened.fileno() == -1
        assert await reader.read() == b""
        writer.close()
        server.datagram_received(query, ("127.0.0.1", 9))
        assert not server._tasks
        await server.stop()


async def test_other_names_are_asked_upstream() -> None:
    query = dns.message.make_query("example.com.", "A")
    response = dns.message.make_response(query).to_wire()
    async with serving(FakeUpstream(response)) as (server, address), udp_client(address) as (send, receive):
        send(query.to_wire())
        assert await receive() == response
        assert await ask_tcp(address, query.to_wire()) == [response]
        assert server.counts.forwarded == 2


async def test_nobody_upstream_is_a_server_failure() -> None:
    query = dns.message.make_query("example.com.", "A")
    async with serving(FakeUpstream(None)) as (_, address), udp_client(address) as (send, receive):
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).rcode() == dns.rcode.SERVFAIL


async def test_an_answer_too_long_for_the_client_is_cut_over_udp_and_whole_over_tcp() -> None:
    query = dns.message.make_query("example.com.", "A")
    long = dns.message.make_response(query).to_wire() + b"\0" * 600
    async with serving(FakeUpstream(long)) as (_, address), udp_client(address) as (send, receive):
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).flags & dns.flags.TC
        assert await ask_tcp(address, query.to_wire()) == [long]


async def test_malformed_packets_are_counted_and_the_server_goes_on() -> None:
    query = dns.message.make_query("reviews.", "A")
    async with serving(FakeUpstream()) as (server, address), udp_client(address) as (send, receive):
        send(b"nonsense")
        send(query.to_wire())
        assert dns.message.from_wire(await receive()).answer
        assert server.counts.malformed == 1
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\0\3abc")
        assert await reader.read() == b""
        writer.close()
        assert server.counts.malformed == 2


async def test_a_slow_upstream_delays_no_name_of_the_mesh_and_load_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameserver, "_MOST_TASKS", 1)
    outside = dns.message.make_query("example.com.", "A").to_wire()
    inside = dns.message.make_query("reviews.", "A").to_wire()
    upstream = FakeUpstream()
    upstream.gate.clear()
    async with serving(upstream) as (server, address), udp_client(address) as (send, receive):
        send(outside)
        await upstream.waiting.wait()
        send(outside)
        send(inside)
        assert dns.message.from_wire(await receive()).answer
        assert server.counts.dropped == 1
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        # Leaving stops what is still waiting for the upstream server.


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameserver, "_IDLE", 0.01)
    async with serving(FakeUpstream()) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("connected", [True, False])
async def test_stopping_ends_connections(connected: bool) -> None:
    async with serving(FakeUpstream()) as (server, address):
        if connected:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"\0")
            await server.stop()
            assert await reader.read() == b""
            writer.close()
        else:
            await server.stop()
        with pytest.raises(OSError):
            await asyncio.open_connection(*address)


async def test_the_proxy_is_answered_as_the_world_outside_is() -> None:
    query = dns.message.make_query("api.example.com.", "A")
    names = Names(name_table([msgspec.structs.replace(REVIEWS, host="api.example.com")]))
    opened = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM) * 2]
    for one in opened:
        one.setblocking(False)
        one.bind(("127.0.0.1", 0))
    sockets = DnsSockets(*opened)
    for one in (sockets.tcp, sockets.proxy_tcp):
        one.listen()
    own, proxys = (one.getsockname() for one in (sockets.udp, sockets.proxy_udp))
    async with asyncio.TaskGroup() as group:
        servers = NameServers(Asker("default"), names, FakeUpstream(failure(query.to_wire())), group)
        await servers.start(sockets)
        for address, code in ((own, dns.rcode.NOERROR), (proxys, dns.rcode.SERVFAIL)):
            async with udp_client(address) as (send, receive):
                send(query.to_wire())
                assert dns.message.from_wire(await receive()).rcode() == code
        await servers.stop()
