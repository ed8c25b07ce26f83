from __future__ import annotations

import pytest

from mizzen.node.capturing import Capture, CaptureError, DeclaredPort
from mizzen.node.explicit import ExplicitCapture
from mizzen.registry.reports import ServiceName


def service(name: str, *ports: int) -> ServiceName:
    host = f"{name}.default.svc.cluster.local"
    return ServiceName(host=host, name=name, namespace="default", address="240.240.0.1", ports=ports)


async def test_a_place_has_ports_of_its_own() -> None:
    capture: Capture
    async with ExplicitCapture() as capture:
        one = await capture.open("default", "web-0", [DeclaredPort(9080, "http"), DeclaredPort(9090)])
        two = await capture.open("default", "web-1", [DeclaredPort(9080, "http")])
        assert [(port.number, port.name) for port in one.ports] == [(9080, "http"), (9090, "")]
        numbers = [
            number for place in (one, two) for port in place.ports for number in (port.application, port.inbound)
        ]
        numbers += [one.http_proxy, two.http_proxy]
        assert len(set(numbers)) == len(numbers)
        assert (one.capture, one.address, one.netns, one.envoy_gid) == ("explicit", "127.0.0.1", "", None)
        await capture.close(one)
        await capture.close(one)


async def test_services_have_local_ports_that_stay() -> None:
    async with ExplicitCapture() as capture:
        one = await capture.open("default", "web-0", [])
        two = await capture.open("default", "web-1", [])
        capture.update([service("a", 80, 443)])
        before = capture.outbound(one)
        assert [(port.host, port.port) for port in before] == [
            ("a.default.svc.cluster.local", 80),
            ("a.default.svc.cluster.local", 443),
        ]
        assert not {port.local for port in before} & {port.local for port in capture.outbound(two)}
        capture.update([service("b", 80), service("a", 443)])
        after = {(port.host[0], port.port): port.local for port in capture.outbound(one)}
        assert set(after) == {("b", 80), ("a", 443)}
        assert after["a", 443] == before[1].local
        capture.update([service("a", 80, 443)])
        assert capture.outbound(one) == before


async def test_a_host_of_two_services_has_one_local_port() -> None:
    async with ExplicitCapture() as capture:
        one = await capture.open("default", "web-0", [])
        capture.update([service("a", 80), service("a", 80, 443)])
        assert [port.port for port in capture.outbound(one)] == [80, 443]


async def test_a_place_can_be_made_again_with_the_same_ports() -> None:
    async with ExplicitCapture() as capture:
        place = await capture.open("default", "web-0", [DeclaredPort(9080, "http")])
        capture.update([service("a", 80)])
        outbound = capture.outbound(place)
    async with ExplicitCapture() as capture:
        assert await capture.reopen(place, outbound) == place
        capture.update([service("a", 80)])
        assert capture.outbound(place) == outbound
        await capture.close(place)
        assert await capture.reopen(place, outbound) == place


async def test_a_place_whose_ports_others_have_is_not_made_again_by_half() -> None:
    async with ExplicitCapture() as other, ExplicitCapture() as capture:
        place = await other.open("default", "web-0", [DeclaredPort(9080)])
        with pytest.raises(CaptureError, match="has gone to another process"):
            await capture.reopen(place, ())
        await other.close(place)
        assert await capture.reopen(place, ()) == place
