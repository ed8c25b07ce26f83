"""A container has ended: whoever was connected to it learns that, also if its network went first."""

import errno
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container, container

from mizzen.compile import names
from mizzen.node.capture import connections, refusals
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.nameserver import Names
from mizzen.node.capture.rules import Stage

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
    await attachments.break_off(place)
    assert is_broken(call)
    await attachments.detach(place)
    await attachments.forsake(place)


async def test_calls_of_one_that_has_ended_fail_at_once_until_its_address_may_be_used_again(
    attachments: Attachments, reviews: Container, ratings: Container
) -> None:
    await attachments.attach(reviews.foreign(9080), Stage.WITHDRAWN)
    place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
    ratings.command("ip", "link", "del", "eth0")
    with socket.create_server((ratings.address, 9080)) as server:
        await attachments.break_off(place)
        with pytest.raises(OSError) as raised:
            reviews.inside(lambda: socket.create_connection((ratings.address, 9080), timeout=5))
        assert raised.value.errno == errno.EHOSTUNREACH
        with socket.create_connection((ratings.address, 9080)):
            server.accept()[0].close()
        await attachments.admit(place)
        with closing(reviews.inside(lambda: socket.create_connection((ratings.address, 9080), timeout=5))):
            server.accept()[0].close()
    await attachments.detach(place)


async def test_a_container_that_leaves_the_mesh_may_call_whom_it_likes(
    attachments: Attachments, reviews: Container, ratings: Container
) -> None:
    """What was refused on its behalf is not, any more: its namespace is left as it was, as the fixture checks."""
    left = await attachments.attach(reviews.foreign(9080))
    place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
    ratings.command("ip", "link", "del", "eth0")
    await attachments.break_off(place)
    assert reviews.command("ip", "route", "show", "proto", "109") == "unreachable 10.89.5.2 \n"
    await attachments.detach(left)
    assert reviews.command("ip", "route", "show", "proto", "109") == ""
    await attachments.break_off(place)
    assert reviews.command("ip", "route", "show", "proto", "109") == ""
    await attachments.detach(place)


async def test_a_route_that_somebody_else_has_made_is_left_alone(reviews: Container) -> None:
    address = IPv4Address("10.89.0.77")
    route = f"{address} via 10.89.0.1 dev eth0 \n"
    reviews.command("ip", "route", "add", str(address), "via", "10.89.0.1")
    with pytest.raises(FileExistsError):
        reviews.inside(lambda: refusals.refuse([address]))
    reviews.inside(lambda: refusals.admit([address]))
    assert reviews.command("ip", "route", "show", str(address)) == route
    reviews.command("ip", "route", "del", str(address))
    for _ in range(2):
        reviews.inside(lambda: refusals.refuse([address]))
    reviews.inside(refusals.admit_all)
    assert reviews.command("ip", "route", "show", str(address)) == ""


async def test_callers_on_the_host_are_told_as_well(ratings: Container, tmp_path: Path) -> None:
    async with Attachments(Names(), tmp_path / "netns", elsewhere=lambda: {""}) as attachments:
        place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
        ratings.command("ip", "link", "del", "eth0")
        with (
            socket.create_server((ratings.address, 9080)) as server,
            socket.create_connection((ratings.address, 9080)) as client,
            server.accept()[0],
        ):
            await attachments.break_off(place)
            client.settimeout(2)
            with pytest.raises(
                ConnectionError
            ):  # Here it is both ends that are broken, and one may tell the other first.
                client.recv(1)


async def test_a_proxy_that_goes_on_when_a_container_has_ended_has_no_connections_for_it(
    unchanged: None, tmp_path: Path
) -> None:
    """As the node's proxy, which is outside and listens inside. The network is there: the kernel tells callers."""
    async with Attachments(Names(), tmp_path / "netns") as attachments:
        with container(tmp_path, "10.89.5") as ended:
            place = await attachments.attach(ended.foreign(9080))
            with (
                ended.inside(lambda: socket.create_server(("0.0.0.0", names.INBOUND_CAPTURE_PORT))) as proxy,
                socket.create_connection((ended.address, 9080)) as client,
                proxy.accept()[0] as accepted,
                ended.inside(lambda: socket.create_connection(("127.0.0.1", names.INBOUND_CAPTURE_PORT))) as inside,
            ):
                await attachments.forsake(place)
                client.settimeout(2)
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
                assert is_broken(accepted)
                assert not is_broken(inside), "what its application had answered may still be read"
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((ended.address, 9080), timeout=2)
            await attachments.detach(place)


async def test_an_address_that_is_another_containers_by_now_is_left_alone(
    attachments: Attachments, reviews: Container, ratings: Container, call: socket.socket, tmp_path: Path
) -> None:
    await attachments.attach(reviews.foreign(9080))
    place = await attachments.attach(ratings.foreign(9080, instance="ratings"))
    ratings.command("ip", "link", "del", "eth0")
    with container(tmp_path, "10.89.5") as later:
        again = await attachments.attach(later.foreign(9080, instance="later"))
        await attachments.forsake(place)
        await attachments.break_off(place)
        assert not is_broken(call)
        await attachments.detach(again)
    await attachments.detach(place)


def test_only_connections_with_this_address_are_broken_off(reviews: Container, call: socket.socket) -> None:
    assert reviews.inside(lambda: connections.break_off({IPv4Address("10.89.0.1")})) == 0
    assert not is_broken(call)
    assert reviews.inside(lambda: connections.break_off({IPv4Address("10.89.5.2")})) == 1
    assert is_broken(call)


def test_a_connection_that_is_being_made_is_broken_off(reviews: Container) -> None:
    nobody = "10.89.0.77"
    with closing(
        reviews.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    ) as one:
        assert one.connect_ex((nobody, 9080)) == errno.EINPROGRESS
        assert reviews.inside(lambda: connections.break_off({IPv4Address(nobody)})) == 1
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED
