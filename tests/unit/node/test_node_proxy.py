"""Seats in the node's proxy, and instances that change from a sidecar to a seat and back, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.node.played import Stage, pause, workload

from mizzen.node.events import ProxyCrashed
from mizzen.node.host import StartError
from mizzen.node.instances import InstanceRunner
from mizzen.registry.proxy_settings import StartResource

pytestmark = pytest.mark.looptime

LISTENERS = frozenset({"web-0.default/virtualOutbound", "web-0.default/virtualInbound"})
NODE = "host.mizzen-system"


@asynccontextmanager
async def instance(stage: Stage, kind: str) -> AsyncIterator[InstanceRunner]:
    """An instance that runs beside the node's proxy, until the block ends."""
    stage.netns = "/run/netns/web-0"
    made = stage.runner(workload(proxy=kind), "web-0", lambda: None)
    async with stage.running(stage.node_proxy.run()), stage.running(made.run()) as task:
        await pause()
        yield made
        made.stop()
        await task


def is_ready(stage: Stage) -> bool:
    return stage.reported["web-0"].ready


async def test_a_seat_is_ready_when_its_listeners_take_connections(stage: Stage) -> None:
    async with instance(stage, "node") as made:
        assert [envoy.sidecar.kind for envoy in stage.envoys] == ["node"]
        assert stage.reported["web-0"].proxies == (NODE,)
        assert stage.reported["web-0"].netns == "/run/netns/web-0"
        assert stage.node_proxy_told == NODE
        stage.listeners = LISTENERS - {"web-0.default/virtualInbound"}
        await pause(1)
        assert made.ready is False
        stage.listeners = LISTENERS
        await pause(0.1)
        assert is_ready(stage)
    assert "seat web-0.default/ drains" in stage.log
    assert "proxy drains" not in stage.log
    # Its namespace must stay until the proxy has closed what it had open there.
    gone = len(stage.log) - stage.log[::-1].index("acknowledged")
    assert stage.log.index("place is closed") >= gone


async def test_nobody_asks_for_a_node_proxy_that_is_not_needed(stage: Stage) -> None:
    async with instance(stage, "sidecar"):
        assert [envoy.sidecar.kind for envoy in stage.envoys] == ["sidecar"]
        assert stage.node_proxy_told == ""


async def test_a_node_proxy_that_crashes_takes_its_seats_along_and_brings_them_back(stage: Stage) -> None:
    stage.listeners = LISTENERS
    async with instance(stage, "node"):
        await pause(0.1)
        assert is_ready(stage)
        stage.envoys[0].end(-9)
        await pause()
        assert not is_ready(stage)
        assert stage.reported["web-0"].phase == "Backoff"
        assert "Envoy ended: killed by SIGKILL" in stage.reported["web-0"].message
        await pause(0.3)
        assert is_ready(stage)
        assert stage.reported["web-0"].proxy_restarts == 1
    (crash,) = stage.told(ProxyCrashed)
    assert (crash.instance, crash.namespace) == ("host", "mizzen-system")


@pytest.mark.parametrize(("before", "after"), [("sidecar", "node"), ("node", "sidecar")])
async def test_an_instance_changes_its_proxy_without_a_gap(stage: Stage, before: str, after: str) -> None:
    stage.listeners = LISTENERS
    ids = {"sidecar": "web-0.default", "node": NODE}
    async with instance(stage, before) as made:
        await pause(0.1)
        assert made.ready
        seen = len(stage.history)
        made.adopt(workload(proxy=after))
        await pause(1)
        reports = [report["web-0"] for report in stage.history[seen:]]
        assert all(one.ready for one in reports)
        assert (ids[before], ids[after]) in [one.proxies for one in reports]
        assert stage.reported["web-0"].proxies == (ids[after],)
        assert len(stage.applications) == 1
        assert "application is asked to end" not in stage.log


async def test_the_proxy_may_change_before_the_first_is_ready(stage: Stage) -> None:
    async with instance(stage, "node") as made:
        await pause(0.1)
        assert is_ready(stage) is False, "the node's proxy has no listener for it yet"
        made.adopt(workload(proxy="sidecar"))
        await pause(1)
        assert is_ready(stage) is True
        assert len(stage.applications) == 1


async def test_a_node_proxy_cannot_serve_where_capture_is_explicit(stage: Stage) -> None:
    stage.starting = True
    made = stage.runner(workload(proxy="node"), "web-0", lambda: None)
    with pytest.RaisesGroup(pytest.RaisesExc(StartError, match="needs transparent capture"), flatten_subgroups=True):
        async with stage.running(made.run()) as task:
            await task
    assert "place is closed" in stage.log


async def test_what_is_for_all_is_for_the_proxy_of_a_node_and_what_it_started_with_is_told(stage: Stage) -> None:
    said = [("root", "all", 2), ("default", "seat", 3), ("mizzen-system", "nodes", 4)]
    given = [
        StartResource(
            kind="ProxyConfig", namespace=namespace, name=name, digest=name, created=1, spec={"concurrency": n}
        )
        for namespace, name, n in said
    ]
    stage.host.starts.take(tuple(given[:2]), "root")
    async with instance(stage, "node"):
        assert stage.envoys[0].sidecar.settings.concurrency == 2
        assert stage.board.told.get()["node_proxy_started_with"] == ("all",)
        assert stage.reported["web-0"].started_with is None
        stage.host.starts.take(tuple(given), "root")
        stage.envoys[0].end()
        await pause(0.3)
        assert stage.envoys[1].sidecar.settings.concurrency == 4
        assert stage.board.told.get()["node_proxy_started_with"] == ("all", "nodes")
