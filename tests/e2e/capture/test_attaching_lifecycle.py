"""Containers are attached and detached, in use, at once and half-way, and are left as they were."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container, container, resolving
from tests.e2e.capture.played_host import CLIENT, LOOKUP, run, serving

from mizzen.node.capture import rules
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.entering import connect_in
from mizzen.node.capture.rules import Stage

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]


@pytest.fixture
def internal() -> bool:
    """So that every kind of change is made, a route among them."""
    return True


def connected(client: socket.socket, server: socket.socket) -> None:
    """Something goes over a connection, in both directions."""
    for sender, receiver in ((client, server), (server, client)):
        sender.sendall(b"x")
        assert receiver.recv(1) == b"x"


def connect(open_client: Callable[[], socket.socket], listening: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = open_client()
    server, _ = listening.accept()
    client.settimeout(2)
    server.settimeout(2)
    return client, server


async def test_connections_from_before_go_on_through_every_stage(attachments: Attachments, reviews: Container) -> None:
    with ExitStack() as opened:
        outside = opened.enter_context(socket.create_server(("10.89.0.1", 8080)))
        inside = opened.enter_context(reviews.inside(lambda: socket.create_server(("0.0.0.0", 9080))))
        outbound = connect(lambda: reviews.inside(lambda: socket.create_connection(("10.89.0.1", 8080))), outside)
        inbound = connect(lambda: socket.create_connection(("10.89.0.2", 9080)), inside)
        for end in (*outbound, *inbound):
            opened.callback(end.close)
        before = reviews.state()

        def all_connected() -> None:
            connected(*outbound)
            connected(*inbound)

        for _ in range(2):
            place = await attachments.attach(reviews.foreign(9080), Stage.HELD)
            all_connected()
            for change in (attachments.release, attachments.hold, attachments.withdraw):
                await change(place)
                all_connected()
            await attachments.detach(place)
            all_connected()
        assert reviews.state() == before


async def test_it_is_attached_while_it_is_prepared_or_let_go_of(attachments: Attachments, reviews: Container) -> None:
    """A node that is busy hears from the engine that a container runs before it has done what the engine's hook asked for."""
    async with asyncio.TaskGroup() as group:
        preparing = group.create_task(attachments.prepare(reviews.netns, str(reviews.resolv_conf)))
        await asyncio.sleep(0)
        await attachments.detach(await attachments.attach(reviews.foreign(9080)))
        assert preparing.done()
        prepared = await attachments.prepare(reviews.netns, str(reviews.resolv_conf))
        group.create_task(attachments.let_go(prepared))
        await asyncio.sleep(0)
        await attachments.detach(await attachments.attach(reviews.foreign(9080)))


async def test_while_held_new_connections_wait_and_then_reach_the_proxy(
    attachments: Attachments, reviews: Container
) -> None:
    place = await attachments.attach(reviews.foreign(9080), Stage.HELD)
    async with serving(place.netns, 15001, 15006, 9080), serving("", 8080), asyncio.TaskGroup() as group:
        seen = replace(place, resolv_conf=str(reviews.resolv_conf))
        calls = [
            group.create_task(run(seen, CLIENT, "10.89.0.1", 8080)),
            group.create_task(run(seen, CLIENT, "reviews", 9080)),
            group.create_task(_call("10.89.0.2", 9080)),
        ]
        # The proxy calls already, names are answered, and the container reaches itself.
        assert (await run(place, CLIENT, "10.89.0.1", 8080, gid=rules.ENVOY_GROUP)).startswith("8080 ")
        assert await run(seen, LOOKUP, "reviews") == "['240.240.0.1']"
        assert (await run(place, CLIENT, "127.0.0.1", 9080)).startswith("9080 ")
        assert not any(call.done() for call in calls)
        await attachments.release(place)
        arrived = await asyncio.gather(*calls)
    assert [text.split()[:2] for text in arrived] == [
        ["15001", "10.89.0.1:8080"],
        ["15001", "240.240.0.1:9080"],
        ["15006", "10.89.0.2:9080"],
    ]


async def _call(address: str, port: int) -> str:
    with closing(await connect_in("", address, port)) as made:
        return (await asyncio.get_running_loop().sock_recv(made, 100)).decode()


async def test_no_connection_slips_past_while_the_rules_are_changed(
    attachments: Attachments, reviews: Container
) -> None:
    """A client calls without a pause; each call must be held or go to the proxy, never straight to the server."""
    place = await attachments.attach(reviews.foreign(9080))
    hasty = """
import socket, sys, time
seen, end = set(), time.monotonic() + 2
while time.monotonic() < end:
    try:
        with socket.create_connection(("10.89.0.1", 8080), timeout=0.005) as client:
            seen.add(client.makefile().read().split()[0])
    except OSError as error:
        seen.add(type(error).__name__)
print(*sorted(seen))
"""
    async with serving(place.netns, 15001), serving("", 8080), asyncio.TaskGroup() as group:
        calls = group.create_task(run(place, hasty))
        while not calls.done():
            await attachments.hold(place)
            await attachments.release(place)
    assert calls.result() == "15001 TimeoutError"


async def test_when_withdrawn_the_proxy_keeps_what_it_has_and_gets_no_more(
    attachments: Attachments, reviews: Container
) -> None:
    place = await attachments.attach(reviews.foreign(9080))
    with ExitStack() as opened:
        proxy = opened.enter_context(reviews.inside(lambda: socket.create_server(("0.0.0.0", 15001))))
        inward = opened.enter_context(reviews.inside(lambda: socket.create_server(("0.0.0.0", 15006))))
        outbound = connect(lambda: reviews.inside(lambda: socket.create_connection(("10.89.0.1", 8080))), proxy)
        inbound = connect(lambda: socket.create_connection(("10.89.0.2", 9080)), inward)
        for end in (*outbound, *inbound):
            opened.callback(end.close)
        await attachments.withdraw(place)
        connected(*outbound)
        connected(*inbound)
        async with serving("", 8080), serving(place.netns, 9080), resolving("10.89.0.1", "192.0.2.80"):
            seen = replace(place, resolv_conf=str(reviews.resolv_conf))
            assert (await run(place, CLIENT, "10.89.0.1", 8080)).startswith("8080 ")
            assert (await _call("10.89.0.2", 9080)).startswith("9080 ")
            assert await run(seen, LOOKUP, "reviews") == "['192.0.2.80']"
        # A virtual address that an application remembers leads to the proxy, and fails at once when there is none.
        remembered = connect(lambda: reviews.inside(lambda: socket.create_connection(("240.240.0.1", 9080))), proxy)
        for end in remembered:
            opened.callback(end.close)
        connected(*remembered)
        proxy.close()
        assert (await run(seen, CLIENT, "240.240.0.1", 9080)).startswith("ConnectionRefusedError")
    await attachments.detach(place)


async def test_a_place_is_complete_and_ends_with_detach(attachments: Attachments, reviews: Container) -> None:
    place = await attachments.attach(reviews.foreign(9080, 3306))
    assert (place.capture, place.address, place.envoy_gid, place.resolv_conf) == ("transparent", "10.89.0.2", 1337, "")
    assert [(port.number, port.application, port.inbound) for port in place.ports] == [
        (9080, 9080, 9080),
        (3306, 3306, 3306),
    ]
    assert Path(place.netns).samefile(reviews.netns)
    await attachments.detach(place)
    await attachments.detach(place)
    await attachments.release(place)
    with pytest.raises(OSError, match="let go"):
        place.new_socket()
    # No other namespace ever has the path.
    assert not Path(place.netns).exists()
    again = await attachments.attach(reviews.foreign(9080))
    assert again.netns != place.netns


async def test_many_come_and_go_at_once(attachments: Attachments, tmp_path: Path) -> None:
    with ExitStack() as started:
        containers = [started.enter_context(container(tmp_path, f"10.89.{number}")) for number in range(8)]
        before = [made.state() for made in containers]
        places = await asyncio.gather(
            *(attachments.attach(made.foreign(9080, instance=f"w-{n}")) for n, made in enumerate(containers))
        )
        await asyncio.gather(*(attachments.detach(place) for place in places[:4]))
        await asyncio.gather(*(attachments.withdraw(place) for place in places))
        await asyncio.gather(*(attachments.detach(place) for place in places))
        assert [made.state() for made in containers] == before


async def test_a_cancelled_attach_leaves_nothing(attachments: Attachments, reviews: Container) -> None:
    before = reviews.state()
    for delay in (0.0, 0.003, 0.006, 0.012):
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await attachments.attach(reviews.foreign(9080))
        for place in [entry.place for entry in attachments._attached.values()]:
            await attachments.detach(place)
        assert reviews.state() == before
