"""The life of a replica in virtual time, with everything around it played."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.node.played import Stage, pause, workload

from mizzen.node.events import (
    InstanceCrashed,
    InstanceDraining,
    InstanceReady,
    InstanceStarting,
    InstanceStopped,
    ProxyCrashed,
)
from mizzen.node.host import StartError
from mizzen.node.instances import InstanceRunner
from mizzen.node.probes import Answer
from mizzen.node.specs import Workload
from mizzen.registry.reports import ExecContext, ServiceName

pytestmark = pytest.mark.looptime

IN = [
    "place is open",
    "reported Pending",
    "certificate for default/default",
    "proxy is ready",
    "application starts",
    "reported Running and ready",
    "acknowledged",
]
OUT = [
    "reported Draining",
    "acknowledged",
    "proxy drains",
    "application is asked to end",
    "proxy is ended",
    "certificate is released",
    "place is closed",
]


def runner(stage: Stage, made: Workload | None = None, changes: list[bool] | None = None) -> InstanceRunner:
    """An instance that notes in ``changes`` each value of ``announced`` that is new when it tells of a change."""
    noted: list[bool] = changes if changes is not None else []

    def note() -> None:
        if instance.announced != (noted[-1] if noted else False):
            noted.append(instance.announced)

    instance = stage.runner(made or workload(), "web-0", note)
    return instance


def in_order(log: list[str], *steps: str) -> bool:
    """Whether the steps happened, in this order, whatever was between them."""
    rest = iter(log)
    return all(step in rest for step in steps)


async def test_the_way_in_and_the_way_out_are_in_order(stage: Stage) -> None:
    stage.certificates.clear()
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause()
        stage.certificates.set()
        await pause()
        assert in_order(stage.log, *IN), stage.log
        assert instance.announced
        before = len(stage.log)
        instance.stop()
        await task
        assert in_order(stage.log[before:], *OUT), stage.log[before:]
        assert instance.leaving
        await stage.board.delivered()
    assert stage.reported == {}
    kinds = [type(event) for event in stage.events if not type(event).__name__.startswith("Proxy")]
    assert kinds == [InstanceStarting, InstanceReady, InstanceDraining, InstanceStopped]


@pytest.mark.parametrize(
    ("gate", "last"),
    [
        ("certificates", "reported Pending"),
        ("reports", "certificate for default/default"),  # an Envoy that is not known waits for its configuration
        ("envoys_ready", "certificate for default/default"),
    ],
)
async def test_each_step_waits_for_the_one_before(stage: Stage, gate: str, last: str) -> None:
    barrier: asyncio.Event = getattr(stage, gate)
    barrier.clear()
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause(60)
        assert list(dict.fromkeys(step for step in stage.log if step in IN))[-1] == last
        assert not instance.ready
        barrier.set()
        await pause()
        assert instance.announced
        assert stage.log.count("application starts") == 1


async def test_it_is_ready_when_its_probe_passes(stage: Stage) -> None:
    stage.answer = Answer(False, "no")
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause(1)
        assert (stage.reported["web-0"].phase, stage.reported["web-0"].ready) == ("Running", False)
        assert stage.reported["web-0"].message == "waiting for connecting to port 20100"
        stage.answer = Answer(True)
        await pause(1)
        assert (stage.reported["web-0"].ready, stage.reported["web-0"].message) == (True, "")
    assert [round(event.seconds, 1) for event in stage.told(InstanceReady)] == [1.0]


async def test_it_is_announced_when_every_proxy_knows_it_and_for_as_long_as_it_is_ready(stage: Stage) -> None:
    stage.acknowledgements.clear()
    changes: list[bool] = []
    instance = runner(stage, changes=changes)
    async with stage.running(instance.run()):
        await pause(1)
        assert (instance.ready, instance.announced) == (True, False)
        stage.acknowledgements.set()
        await pause()
        assert changes == [True]
        stage.answer = Answer(False, "no")
        await pause(60)
        assert changes == [True, False]
        assert not stage.reported["web-0"].ready


async def test_a_proxy_that_never_acknowledges_holds_up_an_announcement_for_a_bounded_time(stage: Stage) -> None:
    stage.acknowledgements.clear()
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause(9)
        assert not instance.announced
        await pause(2)
        assert instance.announced


@pytest.mark.parametrize("gate", ["acknowledgements", "reports"])
@pytest.mark.parametrize(("grace", "longest"), [(60, 10), (4, 4)])
async def test_nobody_can_hold_up_its_way_out(stage: Stage, gate: str, grace: int, longest: float) -> None:
    """A proxy is stuck, or the control plane is away."""
    instance = runner(stage, workload(terminationGracePeriodSeconds=grace))
    async with stage.running(instance.run()) as task:
        await pause()
        getattr(stage, gate).clear()
        began = stage.now
        instance.stop()
        await task
        assert stage.now - began == pytest.approx(longest, abs=0.1)
        assert in_order(stage.log, "proxy drains", "application is asked to end", "proxy is ended", "place is closed")


@pytest.mark.parametrize(("drain_time", "left"), [(0.0, 30.0), (20.0, 10.0), (100.0, 2.0)])
async def test_what_the_drain_takes_is_taken_from_the_grace_of_the_application(
    stage: Stage, drain_time: float, left: float
) -> None:
    stage.drain_time = drain_time
    instance = runner(stage, workload(terminationGracePeriodSeconds=30))
    async with stage.running(instance.run()) as task:
        await pause()
        instance.stop()
        await task
    assert stage.applications[0].graces == [pytest.approx(left, abs=0.1)]


@pytest.mark.parametrize("gate", ["certificates", "reports", "envoys_ready"])
async def test_it_can_be_stopped_at_any_step_and_nobody_is_waited_for(stage: Stage, gate: str) -> None:
    getattr(stage, gate).clear()
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause()
        began = stage.now
        instance.stop()
        await task
        assert stage.now == began
    assert stage.log[-1] == "place is closed"
    assert stage.log.count("proxy is ended") == stage.log.count("proxy starts")
    assert not {"proxy drains", "acknowledged", "application starts"} & set(stage.log)


async def test_one_that_was_never_ready_has_no_callers_to_wait_for(stage: Stage) -> None:
    stage.answer = Answer(False, "no")
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause(1)
        instance.stop()
        await task
    assert "proxy drains" not in stage.log
    assert in_order(stage.log, "application is asked to end", "proxy is ended")


async def test_cancelled_it_ends_both_processes_at_once(stage: Stage) -> None:
    stage.acknowledgements.clear()
    stage.drain_time = 10
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause()
        began = stage.now
        task.cancel()
        await asyncio.wait([task])
        assert stage.now == began
    assert stage.applications[0].graces == [3.0]
    assert stage.log[-1] == "place is closed"
    assert not stage.told(InstanceStopped)


async def test_a_place_that_cannot_be_made_ends_the_start_of_a_mesh(stage: Stage) -> None:
    stage.starting = True
    stage.places_refused = ["no port is free"]
    with pytest.raises(ExceptionGroup) as raised:
        await runner(stage).run()
    assert raised.group_contains(StartError, match="web-0: no port is free")
    assert stage.log == ["certificate is released"]


async def test_a_place_that_cannot_be_made_later_is_tried_again(stage: Stage) -> None:
    stage.places_refused = ["no port is free", "no port is free"]
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause(0.1)
        assert instance.ready is False
        await pause(1)
        assert instance.announced
    crashes = stage.told(InstanceCrashed)
    assert [(crash.message, crash.delay) for crash in crashes] == [("no port is free", 0.2), ("no port is free", 0.4)]


async def test_a_place_that_another_mesh_has_is_waited_for_without_a_word(stage: Stage) -> None:
    stage.starting = True
    stage.places_taken = ["shop", "shop"]
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause(0.1)
        assert instance.taken_by == "shop"
        assert instance.message == "it is a member of mesh shop already, and is taken in when it has left that"
        await pause(1)
        assert instance.announced
        assert instance.taken_by == ""
    assert stage.told(InstanceCrashed) == []


@pytest.mark.parametrize("crashing", ["application", "proxy"])
async def test_a_crash_takes_it_out_and_its_restart_brings_it_back(stage: Stage, crashing: str) -> None:
    changes: list[bool] = []
    instance = runner(stage, changes=changes)
    async with stage.running(instance.run()):
        await pause()
        if crashing == "application":
            stage.applications[0].end(3, "out of memory")
        else:
            stage.envoys[0].end(3)
        await pause(0.1)
        down = stage.reported["web-0"]
        assert (down.phase, down.ready) == ("Backoff", False)
        assert "exit code 3" in down.message
        await pause(1)
        up = stage.reported["web-0"]
        assert (up.phase, up.ready, up.message) == ("Running", True, "")
        assert changes == [True, False, True]
        assert (up.restarts, up.proxy_restarts) == ((1, 0) if crashing == "application" else (0, 1))
        assert (up.pid, up.proxy_pid) == ((2001, 1000) if crashing == "application" else (2000, 1001))


async def test_what_is_reported_and_how_to_run_a_command_beside_it(stage: Stage) -> None:
    made = workload(serviceAccount="shop", workingDir="/srv", env=[{"name": "A", "value": "$(PORT)"}])
    instance = runner(stage, made)
    async with stage.running(instance.run()):
        await pause()
        reported = stage.reported["web-0"]
        sidecar = stage.envoys[0].sidecar
        (context,) = stage.board._contexts.values()
    assert (reported.workload, reported.digest, reported.service_account) == ("web", "1", "shop")
    assert (reported.ports[0].application, reported.http_proxy, reported.address) == (20100, 22000, "127.0.0.1")
    assert reported.admin == str(sidecar.admin_socket)
    assert (sidecar.instance, sidecar.service_account, sidecar.mesh) == ("web-0", "shop", "test")
    assert "certificate for default/shop" in stage.log
    assert isinstance(context, ExecContext)
    assert (context.instance, context.working_dir) == ("web-0", "/srv")
    assert (context.env["A"], context.env["PORT"]) == ("20100", "20100")
    assert stage.applications[0].command.env == context.env


async def test_services_that_appear_are_reported_and_reach_the_application_at_its_next_start(stage: Stage) -> None:
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause()
        host = "ratings.default.svc.cluster.local"
        service = ServiceName(host=host, name="ratings", namespace="default", address="240.240.0.1", ports=(80,))
        stage.services = (service,)
        instance.refresh()
        await pause()
        assert [port.host for port in stage.reported["web-0"].outbound] == [host]
        stage.applications[0].end(1)
        await pause(1)
        assert stage.applications[1].command.env["RATINGS_SERVICE_PORT"] == "25000"


async def test_without_a_folder_of_its_own_commands_run_where_the_mesh_was_started(stage: Stage) -> None:
    instance = runner(stage)
    async with stage.running(instance.run()):
        await pause()
        (context,) = stage.board._contexts.values()
    assert context.working_dir == str(Path.cwd())


async def test_of_one_whose_application_is_gone_the_proxy_ends_at_once(stage: Stage) -> None:
    """Nobody is waited for, and the proxy that was killed on purpose has not crashed."""
    stage.acknowledgements.clear()
    stage.drain_time = 5.0
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause(11)
        assert instance.announced
        before, began = len(stage.log), stage.now
        instance.stop_gone()
        assert stage.log[before:] == ["proxy is killed"]
        await task
        assert stage.now - began < 0.1
    assert {"proxy is ended", "application is asked to end", "place is closed"} <= set(stage.log[before:])
    # So nobody who waits until all proxies know of its end waits for that one.
    told = [report["web-0"] for report in stage.history if "web-0" in report]
    assert (told[-1].phase, told[-1].proxy_pid) == ("Draining", 0)
    assert "proxy drains" not in stage.log
    assert not stage.told(ProxyCrashed)


async def test_one_that_is_leaving_goes_on_to_leave_when_its_application_is_gone(stage: Stage) -> None:
    stage.drain_time = 5.0
    instance = runner(stage)
    async with stage.running(instance.run()) as task:
        await pause(1)
        instance.stop()
        await pause(1)
        instance.stop_gone()
        await task
    assert in_order(stage.log, "proxy drains", "application is asked to end", "proxy is ended")
    assert "proxy is killed" not in stage.log
