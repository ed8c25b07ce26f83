"""Gateways in the node: their ports, and the life of one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.node.played import Stage, pause, played

from mizzen.node import gateway_ports, specs
from mizzen.node.events import InstanceReady
from mizzen.node.gateway_events import GatewayListens
from mizzen.node.gateway_ports import GatewayPorts, candidates
from mizzen.node.gateways import GatewayRuntime
from mizzen.node.instances import InstanceRunner
from mizzen.registry.gateway_urls import url
from mizzen.registry.reports import DesiredWorkload, GatewaySocket

EDGE = ("default", "edge")
LOOPBACK = ("127.0.0.1",)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on a port of this host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_ports_to_try_are_those_that_people_expect() -> None:
    assert [next(ports) for ports in [candidates(80)] for _ in range(3)] == [80, 8080, 8081]
    assert [next(ports) for ports in [candidates(443)] for _ in range(2)] == [443, 8443]
    assert [next(ports) for ports in [candidates(9000)] for _ in range(2)] == [9000, 9001]
    assert list(candidates(65535)) == [65535]


def test_a_port_that_is_taken_is_passed_over(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    ports = GatewayPorts()
    ports.enter(EDGE)
    assert ports.port(EDGE, LOOPBACK, taken) > taken
    ports.leave(EDGE)


def test_replicas_share_ports_and_the_last_gives_them_back(listener: socket.socket) -> None:
    wanted = listener.getsockname()[1]
    listener.close()
    ports, others = GatewayPorts(), GatewayPorts()
    ports.enter(EDGE)
    ports.enter(EDGE)
    assert ports.port(EDGE, LOOPBACK, wanted) == ports.port(EDGE, LOOPBACK, wanted) == wanted
    ports.leave(EDGE)
    others.enter(EDGE)
    assert others.port(EDGE, LOOPBACK, wanted) != wanted
    ports.leave(EDGE)
    others.enter(("default", "other"))
    assert others.port(("default", "other"), LOOPBACK, wanted) == wanted
    others.leave(EDGE)
    others.leave(("default", "other"))


def test_a_port_that_this_process_may_not_have_becomes_one_above_8000(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = gateway_ports._claim

    def unprivileged(addresses: tuple[str, ...], port: int) -> socket.socket | None:
        return None if port < 1024 else claim(addresses, port)

    monkeypatch.setattr(gateway_ports, "_claim", unprivileged)
    ports = GatewayPorts()
    ports.enter(EDGE)
    assert ports.port(EDGE, LOOPBACK, 81) in range(8081, 8281)
    monkeypatch.setattr(gateway_ports, "_claim", lambda addresses, port: None)
    assert ports.port(EDGE, LOOPBACK, 82) == 0
    ports.leave(EDGE)


@pytest.mark.parametrize(
    ("socket", "address", "expected"),
    [
        (GatewaySocket(number=80, scheme="http", local=80), "127.0.0.1", "http://127.0.0.1"),
        (GatewaySocket(number=80, scheme="http", local=8080), "0.0.0.0", "http://127.0.0.1:8080"),
        (GatewaySocket(number=443, scheme="https", local=443, bind="::"), "0.0.0.0", "https://[::1]"),
        (GatewaySocket(number=9000, scheme="tcp", local=9000, bind="10.0.0.1"), "0.0.0.0", "tcp://10.0.0.1:9000"),
        (GatewaySocket(number=80, scheme="http"), "127.0.0.1", ""),
    ],
)
def test_urls(socket: GatewaySocket, address: str, expected: str) -> None:
    assert url(socket, address) == expected


def desired(*numbers: int) -> specs.Workload:
    sockets = tuple(GatewaySocket(number=number, scheme="http") for number in numbers)
    return specs.read(
        DesiredWorkload(namespace="default", name="edge", digest="1", spec={"gateway": {}}, sockets=sockets)
    )


@pytest.mark.looptime
async def test_a_gateway_is_ready_with_its_proxy_and_follows_its_gateways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_ports, "_claim", lambda address, port: socket.socket() if port != 80 else None)
    stage: Stage = played(tmp_path, monkeypatch)
    runtime = GatewayRuntime(stage.host, "edge-0")
    runner = InstanceRunner(stage.host, desired(80), "edge-0", lambda: None, runtime, stage.node_proxy)
    async with stage.running(runner.run()) as task:
        await pause(5)
        assert [one.instance for one in stage.told(InstanceReady)] == ["edge-0"]
        reported = stage.reported["edge-0"]
        assert (reported.gateway, reported.ready, reported.phase, reported.pid) == (True, True, "Running", 0)
        assert reported.sockets == (GatewaySocket(number=80, scheme="http", local=8080),)
        runner.adopt(desired(80, 9000))
        await pause(1)
        assert [one.local for one in stage.reported["edge-0"].sockets] == [8080, 9000]
        assert [one.url for one in stage.told(GatewayListens)] == ["http://127.0.0.1:8080", "http://127.0.0.1:9000"]
        runner.stop()
        await task
    assert not stage.host.gateway_ports._users


def test_a_port_for_which_nothing_can_be_had_is_said() -> None:
    line = GatewayListens("default", "edge-0", 80, "").line
    assert line == "edge-0: neither port 80 nor any in its place can be had on this host: no listener for it"
