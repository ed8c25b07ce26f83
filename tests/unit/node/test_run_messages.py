"""Runs over a real socket: how messages cross it, and what a node does with what are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from tests.unit.node.played import Stage
from tests.unit.node.played_runs import wish

from mizzen.node.run_messages import LONGEST_LINE, FromNode, FromRun, Go, Leave, Link, Refused, RunPlace, Started
from mizzen.node.runs import Runs
from mizzen.registry.reports import Desired, InstancePort, OutboundPort

Ends: TypeAlias = tuple[Link[FromRun], Link[FromNode]]


@contextlib.asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[Ends]:
    """Both ends of a connection: the node's, and that of `mizzen run`."""
    accepted: asyncio.Future[Link[FromRun]] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(Link(reader, writer, FromRun))

    async with await asyncio.start_unix_server(accept, folder / "s", limit=LONGEST_LINE):
        run: Link[FromNode] = Link(*await asyncio.open_unix_connection(folder / "s", limit=LONGEST_LINE), FromNode)
        node = await accepted
        with contextlib.closing(node), contextlib.closing(run):
            yield node, run


async def test_messages_cross_in_order_and_the_end_is_none(tmp_path: Path) -> None:
    async with connected(tmp_path) as (node, run):
        large = {"A": "x" * 500_000}
        said: list[FromRun] = [msgspec.structs.replace(wish(), env=large), Started(4711), Leave()]
        for message in said:
            run.send(message)
        assert [await node.receive() for _ in said] == said
        go = Go(place=RunPlace(instance="web-r0"), env={"A": "é\n"})
        node.send(go)
        assert await run.receive() == go
        run.close()
        run.send(Leave())  # into the void
        assert await node.receive() is None
        node.close()
        assert await run.receive() is None


@pytest.mark.parametrize("line", [b'{"type": "Song"}\n', b"nonsense\n", b'{"type": "Started", "pid": "many"}\n'])
async def test_what_is_no_message(tmp_path: Path, line: bytes) -> None:
    async with connected(tmp_path) as (node, run):
        run._writer.write(line)
        with pytest.raises(msgspec.DecodeError):
            await node.receive()


async def test_half_a_message_is_an_end(tmp_path: Path) -> None:
    async with connected(tmp_path) as (node, run):
        run._writer.write(b'{"type":')
        run.close()
        assert await node.receive() is None


def test_the_ports_of_a_place_that_nobody_else_may_have_meanwhile() -> None:
    ports = (InstancePort(number=8080, application=20001, inbound=20002),)
    outbound = (OutboundPort(host="a", port=80, local=20003),)
    assert RunPlace(instance="a", ports=ports, http_proxy=20004, outbound=outbound).taken == (20002, 20003, 20004)
    assert RunPlace(instance="a").taken == ()


async def test_a_node_takes_runs_on_its_socket(stage: Stage) -> None:
    runs = Runs(stage.host, stage.node_proxy)
    socket = stage.host.settings.node_socket
    socket.parent.mkdir(parents=True)
    async with asyncio.timeout(10), stage.running(runs.run()) as task:
        while not socket.exists():
            await asyncio.sleep(0)
        runs.take(Desired(version=1, trust_domain="cluster.local"))
        stage.places_refused = ["no port is free"]
        run: Link[FromNode] = Link(*await asyncio.open_unix_connection(socket), FromNode)
        run.send(wish())
        assert await run.receive() == Refused("web-r0: no port is free")
        assert await run.receive() is None
        run.close()
        stranger, writer = await asyncio.open_unix_connection(socket)
        writer.write(b"GET / HTTP/1.1\n")
        assert b"Refused" in await stranger.readline()
        writer.close()
        runs.stop()
        await task
        assert not socket.exists()
