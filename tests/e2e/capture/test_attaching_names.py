"""Whom the DNS questions of a container reach, before, while and after it is attached."""

import asyncio
import dataclasses
import socket
from contextlib import AsyncExitStack, closing
from pathlib import Path

import dns.message
import pytest
from tests.e2e.capture.played_container import Container, attached, dockers_resolver, resolving
from tests.e2e.capture.played_host import LOOKUP, run

from mizzen.node.capture import flows, nft, rules, sysctls
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.rules import Stage

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]


async def test_names_of_the_mesh_and_names_of_the_engine(attachments: Attachments, reviews: Container) -> None:
    async with resolving("10.89.0.1", "192.0.2.80") as engine, attached(attachments, reviews) as place:
        known = [
            "reviews",
            "reviews.default",
            "ratings.shop.svc",
            "ratings.shop.svc.cluster.local.",
            "reviews.dns.podman",
        ]
        expected = ["['240.240.0.1']"] * 2 + ["['240.240.0.2']"] * 2 + ["['240.240.0.1']"]
        assert (await run(place, LOOKUP, *known)).splitlines() == expected
        assert engine.asked == []
        others = ["db", "www.example.com", "nosuch", "nosuch.default.svc.cluster.local."]
        found = "['192.0.2.80']"
        assert (await run(place, LOOKUP, *others)).splitlines() == [found, found, "unknown", "unknown"]
        assert {"db.dns.podman", "www.example.com", "nosuch.dns.podman", "nosuch"} == set(engine.asked)
        # Envoy asks the same server, whatever its own resolv.conf says.
        elsewhere = Path(reviews.resolv_conf.parent, "elsewhere.conf")
        elsewhere.write_text("nameserver 192.0.2.53\n")
        envoy = dataclasses.replace(place, resolv_conf=str(elsewhere))
        assert await run(envoy, LOOKUP, "reviews", gid=rules.ENVOY_GROUP) == "['240.240.0.1']"


async def test_a_silent_resolver_is_silent_through_the_mesh(attachments: Attachments, reviews: Container) -> None:
    async with attached(attachments, reviews) as place:
        # Nobody listens at the engine's address.
        assert await run(place, LOOKUP, "db") == "no server"


ASK = """
import dns.message, dns.query
for ask in dns.query.udp, dns.query.tcp:
    for name, server in {names}:
        try:
            print(ask(dns.message.make_query(name, "A"), server, timeout=1).answer[0][0])
        except (IndexError, OSError, dns.exception.Timeout) as error:
            print(type(error).__name__)
"""


async def test_dns_is_answered_whatever_server_is_asked_over_udp_and_tcp(
    attachments: Attachments, reviews: Container
) -> None:
    names = [("reviews.", server) for server in ("192.0.2.53", "10.89.0.1", "127.0.0.1", "127.0.0.11")]
    async with attached(attachments, reviews) as place:
        assert (await run(place, ASK.replace("{names}", str(names)))).splitlines() == ["240.240.0.1"] * 8


async def test_a_connection_that_was_closed_does_not_keep_it_from_being_attached_again(
    attachments: Attachments, reviews: Container
) -> None:
    for _ in range(2):
        with closing(reviews.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))) as asking:
            async with attached(attachments, reviews):
                asking.setblocking(False)
                await asyncio.get_running_loop().sock_connect(asking, ("10.89.0.1", 53))
                # It is served when it has been answered: by being closed, since this is no question.
                await asyncio.get_running_loop().sock_sendall(asking, b"\0\1?")
                assert await asyncio.get_running_loop().sock_recv(asking, 1) == b""


async def test_dockers_server_is_asked_from_inside_and_may_ask_others(
    attachments: Attachments, reviews: Container
) -> None:
    async with resolving("10.89.0.1", "192.0.2.80") as outside:
        with dockers_resolver(reviews, "10.89.0.1"):
            before = reviews.state()
            async with attached(attachments, reviews) as place:
                names = ["reviews", "reviews.default.svc.cluster.local", "db", "www.example.com", "nosuch.example.com"]
                answers = (await run(place, LOOKUP, *names)).splitlines()
                assert answers == ["['240.240.0.1']"] * 2 + ["['192.0.2.11']", "['192.0.2.80']", "unknown"]
                # What its questions would look like if they came from the application: they are not taken.
                assert set(outside.asked) == {"www.example.com", "nosuch.example.com"}
                asked = ASK.replace("{names}", '[("reviews.", "10.89.0.1")]').replace(", dns.query.tcp", ",")
                assert await run(place, asked) == "192.0.2.80"
            assert reviews.state() == before
            assert await run(dataclasses.replace(place, netns=reviews.netns), LOOKUP, "db") == "['192.0.2.11']"


@pytest.mark.parametrize("docker", [False, True])
async def test_a_resolver_that_keeps_its_socket_follows(
    attachments: Attachments, reviews: Container, docker: bool
) -> None:
    """As nginx's does: the kernel knows its flow and would let no new rule decide; Docker's rules have it tracked, too."""
    loop = asyncio.get_running_loop()
    query = dns.message.make_query("reviews.", "A").to_wire()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(resolving("10.89.0.1", "192.0.2.80"))
        if docker:
            stack.enter_context(dockers_resolver(reviews, "10.89.0.1"))
        kept = stack.enter_context(reviews.inside(lambda: _kept_socket("127.0.0.11" if docker else "10.89.0.1")))

        async def ask() -> str:
            await loop.sock_sendall(kept, query)
            async with asyncio.timeout(3):
                return str(dns.message.from_wire(await loop.sock_recv(kept, 4096)).answer[0][0])

        before, mesh = "192.0.2.80", "240.240.0.1"
        for stages in ([], [attachments.hold], [attachments.hold, attachments.release, attachments.withdraw]):
            assert await ask() == before
            place = await attachments.attach(reviews.foreign(9080), Stage.WITHDRAWN)
            assert await ask() == before
            for change in stages:
                await change(place)
                assert await ask() == mesh
            await attachments.detach(place)
        assert await ask() == before


def _kept_socket(server: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.connect((server, 53))
    return made


async def test_ten_thousand_flows_are_looked_through_in_time(reviews: Container) -> None:
    def work() -> tuple[int, int]:
        nft.apply("table ip tracking { chain output { type filter hook output priority 0; ct state new accept; }; }")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                for number in range(10_000):
                    asking.sendto(b"?", (f"127.1.{number >> 8}.{number & 255}", 53 if number % 2 else 54))
            with_questions = sysctls.tracked_flows()
            flows.forget_questions(rules.DNS_PORT, redirected=True)
            assert sysctls.tracked_flows() == with_questions
            flows.forget_questions(rules.DNS_PORT, redirected=False)
            return with_questions, sysctls.tracked_flows()
        finally:
            nft.delete_table("ip", "tracking")

    async with asyncio.timeout(10):
        assert await asyncio.to_thread(reviews.inside, work) == (10_000, 5_000)
