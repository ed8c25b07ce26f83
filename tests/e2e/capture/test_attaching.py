"""What capture does to the traffic of a container; a small server stands on Envoy's ports."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.e2e.capture.played_container import Container, attached, container
from tests.e2e.capture.played_host import CLIENT, run, serving

from mizzen.node.capture import links, rules, sysctls
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.entering import connect_in, in_namespace, new_namespace
from mizzen.node.capturing import Place

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]


@pytest.fixture
async def place(attachments: Attachments, reviews: Container) -> AsyncIterator[Place]:
    """The container, captured, with the server on Envoy's ports and the application's."""
    async with attached(attachments, reviews) as place, serving(place.netns, 15001, 15006, 15021, 9080):
        yield place


async def test_what_the_container_sends_goes_to_the_outbound_side(place: Place) -> None:
    for address, port in (("240.240.0.1", 9080), ("203.0.113.7", 443), ("10.89.0.1", 1), ("10.89.1.1", 1)):
        assert (await run(place, CLIENT, address, port)).split()[:2] == ["15001", f"{address}:{port}"]
    assert (await run(place, CLIENT, "reviews", 9080)).split()[:2] == ["15001", "240.240.0.1:9080"]


async def test_what_arrives_on_any_link_goes_to_the_inbound_side(place: Place) -> None:
    for address in ("10.89.0.2", "10.89.1.2"):
        for port in (9080, 1, 15001):
            with closing(await connect_in("", address, port)) as made:
                arrived = await asyncio.get_running_loop().sock_recv(made, 100)
                assert arrived.decode().split()[:2] == ["15006", f"{address}:{port}"]
        with closing(await connect_in("", address, 15021)) as made:
            assert (await asyncio.get_running_loop().sock_recv(made, 100)).startswith(b"15021 ")


async def test_envoy_reaches_the_application_and_its_own_inbound_side(place: Place) -> None:
    gid = rules.ENVOY_GROUP
    assert (await run(place, CLIENT, "127.0.0.1", 9080, gid=gid)).split()[0] == "9080"
    assert (await run(place, CLIENT, place.address, 9080, gid=gid)).split()[0] == "15006"
    code = CLIENT.replace("timeout=3", 'timeout=3, source_address=("127.0.0.6", 0)')
    assert (await run(place, code, place.address, 9080, gid=gid)).split()[0] == "9080"
    async with serving("", 8080):
        assert (await run(place, CLIENT, "10.89.0.1", 8080, gid=gid)).split() == ["8080", "-", place.address]


async def test_a_container_reaches_itself_without_a_proxy(place: Place) -> None:
    for address in ("127.0.0.1", "10.89.0.2", "10.89.1.2"):
        assert (await run(place, CLIENT, address, 9080)).split()[0] == "9080"
    with closing(place.new_socket()) as made:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", 9080))


@contextmanager
def inner_machine(outer: Container) -> Iterator[str]:
    """The namespace of a machine behind a container, which knows no way but through it."""
    descriptor = new_namespace(sysctls.disable_ipv6_for_new_links)
    try:
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        outer.command("ip", "link", "add", "inner", "type", "veth", "peer", "eth0", "netns", path)
        outer.inside(lambda: links.bring_up("inner", IPv4Interface("198.51.100.1/24")))
        inner = IPv4Interface("198.51.100.2/24")
        in_namespace(descriptor, lambda: links.configure_inside("eth0", inner, IPv4Address("198.51.100.1")))
        outer.inside(lambda: sysctls.set_forwarding("all", allowed=True))
        subprocess.run(["ip", "route", "add", "198.51.100.0/24", "via", outer.address], check=True)
        yield path
    finally:
        os.close(descriptor)


async def test_what_a_container_forwards_is_not_its_own(attachments: Attachments, tmp_path: Path) -> None:
    """As one does in which other containers run."""
    with container(tmp_path, "10.89.6") as outer, inner_machine(outer) as inner:
        async with attached(attachments, outer) as place, serving(place.netns, 15006), serving("", 8080):
            with closing(await connect_in(inner, "10.89.6.1", 8080)) as made:
                assert await asyncio.get_running_loop().sock_recv(made, 100) == b"8080 - 198.51.100.2"


async def test_a_network_that_leads_nowhere(attachments: Attachments, tmp_path: Path) -> None:
    with container(tmp_path, "10.89.3", internal=True) as closed:
        before = closed.state()
        async with attached(attachments, closed) as place, serving(place.netns, 15001):
            assert closed.command("ip", "route", "show", "240.240.0.0/16").split()[:3] == [
                "240.240.0.0/16",
                "dev",
                "eth0",
            ]
            arrived = await run(place, CLIENT, "reviews", 9080)
            assert arrived == "15001 240.240.0.1:9080 10.89.3.2"
        assert closed.state() == before


async def test_calls_over_ipv6_are_refused_at_once(attachments: Attachments, tmp_path: Path) -> None:
    with container(tmp_path, "10.89.4", ipv6=True) as both:
        both.command("ip", "addr", "add", "fd00:89::2/64", "dev", "eth0", "nodad")
        both.command("ip", "-6", "route", "add", "default", "via", "fd00:89::1")
        before = both.state()
        with capture_logs() as logs:
            place = await attachments.attach(both.foreign(9080))
        assert [entry["event"] for entry in logs] == ["calls over IPv6 are refused, to and from what is attached"]
        await attachments.detach(place)
        async with attached(attachments, both) as place:
            refused = "ConnectionRefusedError: [Errno 111] Connection refused"
            assert await run(place, CLIENT, "fd00:89::1", 9080) == refused
            datagram = (
                'import socket\nc = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\nc.connect(("fd00:89::1", 53))\n'
            )
            # Which resolvers take as a reason to ask the next server.
            assert (await run(place, datagram + "c.send(b'?')")).startswith("PermissionError")
            # Its own loopback is its own.
            listening = "import socket\ns = socket.create_server(('::1', 9), family=socket.AF_INET6)\n"
            itself = listening + "c = socket.create_connection(('::1', 9), 3)\nprint('connected')"
            assert await run(place, itself) == "connected"
        assert both.state() == before
