"""A container has ended: whoever was connected to it learns that, also if its network went first."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container, container

from mizzen.node.capture import connections
from mizzen.node.capture.attaching import Attachments

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]


@pytest.fixture
def ratings(unchanged: None, tmp_path: Path) -> Iterator[Container]:
    """A container whose address is the host's as well, where something listens that stands for it."""
    with container(tmp_path, "10.89.5") as made:
        subprocess.run(["ip", "address", "add", f"{made.address}/32", "dev", "lo"], check=True)
        yield made
        subprocess.run(["ip", "address", "del", f"{made.address}/32", "dev", "lo"], check=True)


@pytest.fixture
def call(reviews: Container, ratings: Container) -> Iterator[socket.socket]:
    """A connection from reviews to ratings, which nobody ends."""
    with (
        socket.create_server((ratings.address, 9080)) as server,
        closing(reviews.inside(lambda: socket.create_connection((ratings.address, 9080)))) as client,
        server.accept()[0],
    ):
        client.settimeout(2)
        yield client


def is_broken(call: socket.socket) -> bool:
    call.settimeout(0.2)
    try:
        call.recv(1)
    except TimeoutError:
        return False
    except ConnectionAbortedError:
        return True
    raise AssertionError("nobody has said anything")


async def test_callers_of_one_whose_network_is_gone_are_told(
    attachments: Attachments, reviews: Container, ratings: Container, call: socket.socket
) -> None:
    await attachments.attach(reviews.foreign(9080))
    place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
    await attachments.forsake(place)
    assert not is_broken(call), "the network is there, and has told all that there is to tell"
    ratings.command("ip", "link", "del", "eth0")
    await attachments.forsake(place)
    assert is_broken(call)
    await attachments.detach(place)
    await attachments.forsake(place)


async def test_an_address_that_is_another_containers_by_now_is_left_alone(
    attachments: Attachments, reviews: Container, ratings: Container, call: socket.socket, tmp_path: Path
) -> None:
    await attachments.attach(reviews.foreign(9080))
    place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
    ratings.command("ip", "link", "del", "eth0")
    with container(tmp_path, "10.89.5") as later:
        again = await attachments.attach(later.foreign(9080, instance="later"))
        await attachments.forsake(place)
        assert not is_broken(call)
        await attachments.detach(again)
    await attachments.detach(place)


def test_only_connections_with_this_address_are_broken_off(reviews: Container, call: socket.socket) -> None:
    assert reviews.inside(lambda: connections.break_off(IPv4Address("10.89.0.1"))) == 0
    assert not is_broken(call)
    assert reviews.inside(lambda: connections.break_off(IPv4Address("10.89.5.2"))) == 1
    assert is_broken(call)
