"""What transparent capture does to traffic and to names; a small server stands on Envoy's ports and tells what it got."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.capture.played_host import CLIENT, HTTP, LOOKUP, ruleset, run, serving

from mizzen.node.capture import nft, rules
from mizzen.node.capture.entering import connect_in
from mizzen.node.capture.transparent import TransparentCapture
from mizzen.node.capture.upstream import Resolvers
from mizzen.node.capturing import Place
from mizzen.settings import Settings

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]


@pytest.fixture
async def two(capture: TransparentCapture) -> AsyncIterator[tuple[Place, Place]]:
    """Two instances, each with the server on 15001, 15006, 15021 and the application's port."""
    one = await capture.open("default", "reviews-v1-0", HTTP)
    other = await capture.open("shop", "ratings-v1-0", HTTP)
    async with serving(one.netns, 15001, 15006, 15021, 9080), serving(other.netns, 15001, 15006, 15021, 9080):
        yield one, other


async def test_what_an_application_sends_goes_to_the_outbound_side(two: tuple[Place, Place]) -> None:
    one, other = two
    assert await run(one, CLIENT, "240.240.0.1", 9080) == f"15001 240.240.0.1:9080 {one.address}"
    assert await run(one, CLIENT, "198.51.100.7", 443) == f"15001 198.51.100.7:443 {one.address}"
    assert await run(one, CLIENT, other.address, 9080) == f"15001 {other.address}:9080 {one.address}"
    assert await run(other, CLIENT, "reviews.default", 9080) == f"15001 240.240.0.1:9080 {other.address}"


async def test_what_arrives_goes_to_the_inbound_side(two: tuple[Place, Place]) -> None:
    one, other = two
    for port in (9080, 1, 65535, 15001):
        arrived = await run(one, CLIENT, other.address, port, gid=rules.ENVOY_GROUP)
        assert arrived == f"15006 {other.address}:{port} {one.address}"


async def test_the_proxys_own_ports_are_reached_as_they_are(two: tuple[Place, Place]) -> None:
    one, other = two
    arrived = await run(one, CLIENT, other.address, 15021, gid=rules.ENVOY_GROUP)
    assert arrived.split()[0] == "15021"


async def test_envoy_reaches_the_application_and_its_own_inbound_side(two: tuple[Place, Place]) -> None:
    one, _ = two
    to_application = await run(one, CLIENT, "127.0.0.1", 9080, gid=rules.ENVOY_GROUP)
    assert to_application.split()[0] == "9080"
    to_own_service = await run(one, CLIENT, one.address, 9080, gid=rules.ENVOY_GROUP)
    assert to_own_service == f"15006 {one.address}:9080 {one.address}"


async def test_envoy_hands_on_passthrough_traffic_from_127_0_0_6(two: tuple[Place, Place]) -> None:
    one, _ = two
    code = CLIENT.replace("timeout=3", 'timeout=3, source_address=("127.0.0.6", 0)')
    assert (await run(one, code, one.address, 9080, gid=rules.ENVOY_GROUP)).split()[0] == "9080"


async def test_an_application_reaches_itself_without_a_proxy(two: tuple[Place, Place]) -> None:
    one, _ = two
    for address in ("127.0.0.1", "localhost", one.address):
        assert (await run(one, CLIENT, address, 9080)).split()[0] == "9080"


async def test_the_node_connects_inside_a_place(two: tuple[Place, Place]) -> None:
    one, _ = two
    made = one.new_socket()
    with closing(made):
        assert not made.getblocking()
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", 9080))
        assert (await asyncio.get_running_loop().sock_recv(made, 100)).startswith(b"9080 ")
    with closing(await connect_in(one.netns, "127.0.0.1", 15021)) as made:
        assert (await asyncio.get_running_loop().sock_recv(made, 100)).startswith(b"15021 ")
    with pytest.raises(ConnectionRefusedError):
        await connect_in(one.netns, "127.0.0.1", 9081)


async def test_names_are_resolved_by_the_systems_resolver(capture: TransparentCapture) -> None:
    place = await capture.open("default", "reviews-v1-0", HTTP)
    names = [
        "reviews",
        "reviews.default",
        "ratings.shop.svc",
        "ratings.shop.svc.cluster.local",
        "ratings.shop.svc.cluster.local.",
    ]
    unknown = ["nosuch.default.svc.cluster.local", "nosuch.shop.svc.cluster.local"]
    expected = ["['240.240.0.1']"] * 2 + ["['240.240.0.2']"] * 3 + ["unknown"] * 2
    assert (await run(place, LOOKUP, *names, *unknown)).splitlines() == expected
    # Envoy asks the same server.
    assert (await run(place, LOOKUP, "reviews", gid=rules.ENVOY_GROUP)) == "['240.240.0.1']"
    capture.update([])
    assert (await run(place, LOOKUP, "reviews.default.svc.cluster.local")) == "unknown"


async def test_dns_is_answered_whatever_server_is_asked_over_udp_and_tcp(capture: TransparentCapture) -> None:
    place = await capture.open("default", "reviews-v1-0", HTTP)
    code = """
import dns.message, dns.query
query = dns.message.make_query("reviews.", "A")
for ask in dns.query.udp, dns.query.tcp:
    for server in "192.0.2.53", "127.0.0.1", "127.0.0.53":
        print(ask(query, server, timeout=3).answer[0][0])
"""
    assert (await run(place, code)).splitlines() == ["240.240.0.1"] * 6


class Resolver(asyncio.DatagramProtocol):
    """The host's DNS server: 192.0.2.80 is the address of everything."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        import dns.message
        import dns.rrset

        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        if query.question[0].rdtype == 1:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.80"))
        self.transport.sendto(response.to_wire(), addr)


async def test_other_names_are_asked_at_the_hosts_servers(capture_settings: Settings, tmp_path: Path) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Resolver, ("127.0.0.9", 53))
    file = tmp_path / "host-resolv.conf"
    file.write_text("nameserver 127.0.0.9\nsearch corp.example\n")
    with closing(transport):
        async with TransparentCapture(capture_settings, Resolvers(file)) as capture:
            place = await capture.open("default", "a-0", ())
            assert Path(place.resolv_conf).read_text().splitlines()[1].endswith(" cluster.local corp.example")
            # Through the search list, of which only the host's own domain is not the mesh's.
            assert await run(place, LOOKUP, "www.example.com", "db") == "['192.0.2.80']\n['192.0.2.80']"
            assert await run(place, LOOKUP, "www.example.com.cluster.local.") == "unknown"


async def test_calls_out_of_the_mesh_leave_under_the_hosts_address(outside: str, capture_settings: Settings) -> None:
    async with serving(outside, 8080), TransparentCapture(capture_settings) as capture:
        place = await capture.open("default", "a-0", ())
        # Envoy's group: what its outbound side passes on.
        arrived = await run(place, CLIENT, "198.51.100.2", 8080, gid=rules.ENVOY_GROUP)
        assert arrived.endswith(" 198.51.100.1")


async def test_calls_to_the_host_itself(capture: TransparentCapture) -> None:
    place = await capture.open("default", "a-0", ())
    gateway = Path(place.resolv_conf).read_text().split()[1]
    async with serving("", 18080):
        arrived = await run(place, CLIENT, gateway, 18080, gid=rules.ENVOY_GROUP)
        assert (arrived.split()[0], arrived.split()[2]) == ("18080", place.address)


async def test_nobody_outside_calls_in(outside: str, capture_settings: Settings) -> None:
    async with TransparentCapture(capture_settings) as capture:
        place = await capture.open("default", "a-0", ())
        async with serving(place.netns, 15006):
            (await connect_in("", place.address, 9080)).close()
            with pytest.raises(TimeoutError):
                await connect_in(outside, place.address, 9080, timeout=0.3)


async def test_a_host_does_not_become_a_router(outside: str, beyond: str, capture_settings: Settings) -> None:
    """From one link of the host through to another, while capture has forwarding allowed on both."""
    async with serving(beyond, 8080), TransparentCapture(capture_settings):
        (await connect_in("", "203.0.113.2", 8080)).close()
        with pytest.raises(TimeoutError):
            await connect_in(outside, "203.0.113.2", 8080, timeout=0.3)


async def test_a_firewall_that_drops_what_is_forwarded(outside: str, capture_settings: Settings) -> None:
    nft.apply("table inet fw { chain forward { type filter hook forward priority 0; policy drop; }; }")
    try:
        before = ruleset()
        async with serving(outside, 8080), TransparentCapture(capture_settings) as capture:
            place = await capture.open("default", "a-0", ())
            arrived = await run(place, CLIENT, "198.51.100.2", 8080, gid=rules.ENVOY_GROUP)
            assert arrived.endswith(" 198.51.100.1")
        assert ruleset() == before
    finally:
        nft.delete_table("inet", "fw")


async def test_a_virtual_address_has_no_udp(capture: TransparentCapture) -> None:
    place = await capture.open("default", "a-0", ())
    code = """
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(3)
client.connect(("240.240.0.1", 9080))
try:
    client.send(b"?")
    client.recv(1)
except TimeoutError:
    print("nothing")
except OSError:
    print("refused")
"""
    assert await run(place, code) == "refused"


async def test_ipv6_is_loopback_alone(capture: TransparentCapture) -> None:
    place = await capture.open("default", "a-0", ())
    addresses = "print(open('/proc/net/if_inet6').read())"
    assert {line.split()[5] for line in (await run(place, addresses)).splitlines()} <= {"lo"}
