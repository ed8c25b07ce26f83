"""Containers of a real Podman, with its network and its DNS server, are attached and left as they were."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container
from tests.e2e.capture.played_host import SERVICES, serving
from tests.support.applications import small_container
from tests.support.containers import Engine, engine
from tests.support.polling import eventually

from mizzen.node.capture.answers import name_table
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.entering import connect_in
from mizzen.node.capture.nameserver import Names
from mizzen.node.capture.rules import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.privileged, pytest.mark.containers]


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network("shop")
        yield made


@pytest.fixture
async def attachments(tmp_path: Path) -> AsyncIterator[Attachments]:
    async with Attachments(Names(name_table(SERVICES)), tmp_path / "netns") as entered:
        yield entered


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def started(podman: Engine, stack: ExitStack, name: str) -> Container:
    """A container that serves its name over HTTP on 8080, as those of the played host are described."""
    small_container(podman, name, "shop")
    stack.callback(podman.rm, name)
    descriptor = os.open(podman.netns(name), os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    made = Container(descriptor, podman.address(name, "shop"), Path(podman.inspect(name)["ResolvConfPath"]))
    eventually(made.settled, "the kernel has found out whether an address of IPv6 is another's, too")
    return made


async def run(podman: Engine, name: str, *command: str) -> str:
    """Not in the way of the node's DNS servers, which are in this thread."""
    return await asyncio.to_thread(podman.exec, name, *command)


async def test_a_container_of_podman(podman: Engine, attachments: Attachments, stack: ExitStack) -> None:
    server, caller = (started(podman, stack, name) for name in ("reviews", "caller"))
    before = server.state(), caller.state()
    kept = stack.enter_context(caller.inside(lambda: socket.create_connection((server.address, 8080), timeout=5)))
    places = [await attachments.attach(made.foreign(8080), Stage.WITHDRAWN) for made in (server, caller)]
    for place in places:
        await attachments.release(place)
    kept.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert kept.makefile().read().endswith("\nreviews\n")
    kept.close()

    async with serving(places[0].netns, 15006), serving(places[1].netns, 15001):
        assert "240.240.0.1" in await run(podman, "caller", "nslookup", "reviews")
        assert caller.address in await run(podman, "caller", "nslookup", "caller")
        arrived = await run(podman, "caller", "nc", "reviews", "9080")
        assert arrived == f"15001 240.240.0.1:9080 {caller.address}"
        with closing(await connect_in(podman.host.netns, server.address, 8080)) as arriving:
            arriving.setblocking(True)
            assert arriving.recv(100).startswith(f"15006 {server.address}:8080 ".encode())

    for place in places:
        await attachments.withdraw(place)
        await attachments.detach(place)
    for container, was in zip((server, caller), before, strict=True):
        state = container.state()
        assert {what: state[what] for what in was if state[what] != was[what]} == {}
    assert await run(podman, "caller", "wget", "-q", "-O", "-", "http://reviews:8080/") == "reviews\n"


async def test_a_container_of_podman_that_is_killed(podman: Engine, attachments: Attachments, stack: ExitStack) -> None:
    """The engine takes its network away while the mesh still holds the namespace, and may start it again at once."""
    made = started(podman, stack, "reviews")
    place = await attachments.attach(made.foreign(8080))
    podman.stop("reviews", seconds=0)
    podman.start("reviews")
    address = podman.address("reviews", "shop")
    again = os.open(podman.netns("reviews"), os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, again)
    assert not os.path.sameopenfile(again, made.descriptor)
    anew = Container(again, address, made.resolv_conf)
    second = await attachments.attach(anew.foreign(8080))
    await attachments.detach(place)
    assert "240.240.0.1" in await run(podman, "reviews", "nslookup", "reviews")
    await attachments.detach(second)
