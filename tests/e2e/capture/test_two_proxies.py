"""Two proxies listen at one port of a workload, and one of them goes: what it has not accepted yet, the other does."""

import os
import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container

from mizzen.compile import names
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.entering import in_namespace
from mizzen.node.capture.transparent import TransparentCapture

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]

WAITING = 20


def listen() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("0.0.0.0", names.OUTBOUND_CAPTURE_PORT))
    made.listen(WAITING)
    made.settimeout(2)
    return made


def accepted_by_the_other() -> int:
    """Has clients wait for a proxy that goes; returns how many the other one serves. Runs in the workload's namespace."""
    with ExitStack() as opened:
        with closing(listen()):
            address = ("127.0.0.1", names.OUTBOUND_CAPTURE_PORT)
            clients = [opened.enter_context(socket.create_connection(address)) for _ in range(WAITING)]
            other = opened.enter_context(closing(listen()))
        for _ in range(WAITING):
            opened.enter_context(other.accept()[0]).sendall(b"x")
        for client in clients:
            client.settimeout(2)
        return sum(client.recv(1) == b"x" for client in clients)


async def test_of_a_process(capture: TransparentCapture) -> None:
    place = await capture.open("default", "ratings-v1-0", ())
    namespace = os.open(place.netns, os.O_RDONLY)
    try:
        assert in_namespace(namespace, accepted_by_the_other) == WAITING
    finally:
        os.close(namespace)
    await capture.close(place)


@pytest.mark.parametrize("usual", ["0", "1"])
async def test_of_a_container_which_is_left_as_it_was(attachments: Attachments, reviews: Container, usual: str) -> None:
    setting = Path("/proc/sys/net/ipv4/tcp_migrate_req")
    reviews.inside(lambda: setting.write_text(usual))
    place = await attachments.attach(reviews.foreign(9080))
    async with place.handing_over():
        assert reviews.inside(accepted_by_the_other) == WAITING
    await attachments.detach(place)
    assert reviews.inside(setting.read_text).strip() == usual
    reviews.inside(lambda: setting.write_text("0"))
