"""What `mizzen run` does with what a node says, and with one that has gone; the node is played, the command is real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mizzen.cli.accompanying import LOST, Errand, accompany
from mizzen.cli.output import Complaint
from mizzen.node.run_messages import (
    LONGEST_LINE,
    End,
    Ended,
    FromNode,
    FromRun,
    Go,
    Gone,
    Leave,
    Link,
    Refused,
    RunPlace,
    Started,
    Told,
    Wish,
)
from mizzen.registry.reports import DesiredWorkload

pytestmark = pytest.mark.timeout(30)


class PlayedNode:
    """Takes connections at a path, one after the other."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._links: asyncio.Queue[Link[FromRun]] = asyncio.Queue()
        self._open: list[Link[FromRun]] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.append(Link(reader, writer, FromRun))
            self._links.put_nowait(self._open[-1])

        async with await asyncio.start_unix_server(accept, self.socket, limit=LONGEST_LINE):
            try:
                yield
            finally:
                for link in self._open:
                    link.close()
                await asyncio.sleep(0)

    async def wish(self) -> tuple[Link[FromRun], Wish]:
        """Returns the next connection, and what is wished for on it."""
        link = await self._links.get()
        wish = await link.receive()
        assert isinstance(wish, Wish)
        return link, wish


@contextlib.asynccontextmanager
async def accompanied(
    folder: Path, *command: str, grace: float = 10.0
) -> AsyncIterator[tuple[PlayedNode, asyncio.Task[int]]]:
    """A played node, and a command that is to run in its mesh."""
    workload = DesiredWorkload(namespace="default", name="web", digest="", spec={})
    errand = Errand("test", folder / "node.sock", Wish(workload=workload), command, grace)
    node = PlayedNode(folder / "node.sock")
    async with node.listening(), asyncio.TaskGroup() as group:
        yield node, group.create_task(accompany(errand))


def go(**variables: str) -> Go:
    return Go(place=RunPlace(instance="web-r0"), env={"PORT": "8080", "PATH": os.environ["PATH"]} | variables)


async def started(link: Link[FromRun], message: FromNode) -> int:
    link.send(message)
    said = await link.receive()
    assert isinstance(said, Started)
    return said.pid


async def test_a_command_runs_and_its_code_is_returned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = 'echo $0 $PORT "$EXTRA"; test $$ -gt 0; exit 3'
    async with accompanied(tmp_path, "sh", "-c", script, "$(PORT)$$(PORT)$(NONE)") as (node, code):
        link, _ = await node.wish()
        await started(link, go(EXTRA="é"))
        assert await link.receive() == Ended()
        link.send(Told("it was there"))
        link.send(Gone())
        assert await code == 3
    said = capfd.readouterr()
    assert said.out == "8080$(PORT)$(NONE) 8080 é\n"
    assert said.err == "mizzen: it was there\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_is_passed_on_when_the_node_has_drained(tmp_path: Path, number: signal.Signals) -> None:
    async with accompanied(tmp_path, "sleep", "1000") as (node, code):
        link, _ = await node.wish()
        pid = await started(link, go())
        os.kill(os.getpid(), number)
        assert await link.receive() == Leave()
        os.kill(pid, 0)
        link.send(End(10))
        assert await link.receive() == Ended()
        link.send(Gone())
        assert await code == 128 + number


async def test_a_signal_comes_before_the_command(tmp_path: Path) -> None:
    async with accompanied(tmp_path, "touch", str(tmp_path / "never")) as (node, code):
        link, _ = await node.wish()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await link.receive() == Leave()
        link.send(End(10))
        assert await link.receive() == Ended()
        link.send(Gone())
        assert await code == 143
    assert not (tmp_path / "never").exists()


async def test_what_its_grace_does_not_end_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with accompanied(tmp_path, "sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.1; done") as (node, code):
        link, _ = await node.wish()
        await started(link, go())
        link.send(End(0.2))
        assert await link.receive() == Ended()
        link.send(Gone())
        assert await code == LOST, "nobody here has asked for its end"
    assert "mesh test stops, and web-r0 with it" in capfd.readouterr().err


async def complaint(folder: Path, answer: FromNode | None) -> str:
    """Returns what is complained of where a node answers so, or goes."""
    workload = DesiredWorkload(namespace="default", name="web", digest="", spec={})
    errand = Errand("test", folder / "node.sock", Wish(workload=workload), ("true",), 1.0)

    async def play(node: PlayedNode) -> None:
        link, _ = await node.wish()
        if answer:
            link.send(answer)
        link.close()

    node = PlayedNode(errand.socket)
    async with node.listening(), asyncio.TaskGroup() as group:
        group.create_task(play(node))
        with pytest.raises(Complaint) as raised:
            await accompany(errand)
    return raised.value.message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "the node of mesh test has ended before the command could be started"),
        (Refused("no port is free"), "no port is free"),
    ],
)
async def test_a_node_without_a_place_is_an_error(tmp_path: Path, answer: FromNode | None, message: str) -> None:
    assert await complaint(tmp_path, answer) == message


async def test_a_node_that_takes_no_runs_is_an_error(tmp_path: Path) -> None:
    workload = DesiredWorkload(namespace="default", name="web", digest="", spec={})
    with pytest.raises(Complaint, match="the node of mesh test takes no runs"):
        await accompany(Errand("test", tmp_path / "nobody", Wish(workload=workload), ("true",), 1.0))


async def test_the_next_node_is_told_what_runs_already(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with accompanied(tmp_path, "sleep", "1000") as (node, code):
        link, _ = await node.wish()
        message = go()
        pid = await started(link, message)
        link.close()
        link, wish = await node.wish()
        assert wish.again
        assert (wish.again.pid, wish.again.place) == (pid, message.place)
        os.kill(pid, signal.SIGKILL)
        assert await link.receive() == Ended()
        link.send(Gone())
        assert await code == 137
    assert "the node of mesh test has gone; the command goes on" in capfd.readouterr().err


async def test_a_next_node_that_refuses_is_the_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with accompanied(tmp_path, "sleep", "1000") as (node, code):
        link, _ = await node.wish()
        await started(link, go())
        link.close()
        link, _ = await node.wish()
        link.send(Refused("its ports have gone"))
        assert await code == LOST
    assert "web-r0 cannot be in mesh test again: its ports have gone" in capfd.readouterr().err
