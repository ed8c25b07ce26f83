"""Many replicas that come, go and are replaced, in virtual time, with everything around them played."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from tests.unit.node.played import Stage, desired, pause

from mizzen.node.events import InstanceStarting, InstanceStopped, WorkloadInvalid
from mizzen.node.host import StartError
from mizzen.node.instances import InstanceRunner
from mizzen.node.specs import Workload
from mizzen.node.workloads import Workloads
from mizzen.registry.reports import DesiredWorkload, Instance

pytestmark = pytest.mark.looptime


def workloads(stage: Stage) -> Workloads:
    def make(workload: Workload, name: str, changed: Callable[[], None]) -> InstanceRunner:
        return stage.runner(workload, name, changed)

    return Workloads(make, stage.events.append)


@contextlib.asynccontextmanager
async def serving(stage: Stage, *wanted: DesiredWorkload) -> AsyncIterator[Workloads]:
    """Workloads that run, ready and announced, when the block begins."""
    running = workloads(stage)
    async with stage.running(running.run()):
        running.take(wanted)
        await pause(1)
        assert running.settled.is_set()
        yield running


def ready(stage: Stage) -> dict[str, str]:
    """The digests of the instances that are ready, by name."""
    return {name: instance.digest for name, instance in stage.reported.items() if instance.ready}


def staying(instances: dict[str, Instance]) -> int:
    return sum(instance.phase != "Draining" for instance in instances.values())


async def test_all_replicas_start_and_the_mesh_is_settled_when_the_last_is_announced(stage: Stage) -> None:
    stage.hanging = {"web-1"}
    running = workloads(stage)
    async with stage.running(running.run()):
        running.take([desired(replicas=3), desired("api")])
        await pause(1)
        assert ready(stage) == {"web-0": "1", "web-2": "1", "api-0": "1"}
        assert running.count == 4
        assert not running.settled.is_set()
        stage.hanging.clear()
        await pause(1)
        assert running.settled.is_set()


async def test_a_mesh_is_not_settled_by_a_replica_that_is_on_its_way_out(stage: Stage) -> None:
    stage.hanging = {"api-0", "web-1"}
    stage.drain_time = 20
    running = workloads(stage)
    async with stage.running(running.run()):
        running.take([desired(), desired("api")])
        await pause(1)
        running.take([desired("api")])
        await pause(1)
        running.take([desired(), desired("api")])
        stage.hanging.remove("api-0")
        await pause(1)
        assert ready(stage) == {"api-0": "1"}
        assert not running.settled.is_set()


async def test_a_mesh_without_workloads_is_settled(stage: Stage) -> None:
    running = workloads(stage)
    async with stage.running(running.run()):
        await pause()
        assert not running.settled.is_set()  # nobody has said that there are none
        running.take([])
        await pause()
        assert running.settled.is_set()


async def test_a_rolling_update_never_has_fewer_ready_than_wanted_and_one_more_at_most(stage: Stage) -> None:
    async with serving(stage, desired(replicas=3)) as running:
        before = len(stage.history)
        running.take([desired(replicas=3, digest="2")])
        await pause(60)
        assert ready(stage) == dict.fromkeys(ready(stage), "2")
        assert len(ready(stage)) == running.count == 3
    for report in stage.history[before:-1]:
        assert sum(instance.ready for instance in report.values()) >= 3
        assert staying(report) <= 4


async def test_a_new_revision_that_is_never_ready_takes_no_place(stage: Stage) -> None:
    async with serving(stage, desired(replicas=2)) as running:
        stage.hanging = {"web-2"}
        running.take([desired(replicas=2, digest="2")])
        await pause(600)
        assert ready(stage) == {"web-0": "1", "web-1": "1"}
        assert running.count == 3


async def test_a_revision_that_comes_while_another_is_rolled_out_replaces_both(stage: Stage) -> None:
    async with serving(stage, desired(replicas=2)) as running:
        stage.hanging = {"web-2"}
        running.take([desired(replicas=2, digest="2")])
        await pause(1)
        before = len(stage.history)
        running.take([desired(replicas=2, digest="3")])
        await pause(60)
        assert sorted(ready(stage).values()) == ["3", "3"]
        assert running.count == 2
    assert all(sum(instance.ready for instance in report.values()) >= 2 for report in stage.history[before:-1])


async def test_taking_back_a_revision_keeps_what_serves(stage: Stage) -> None:
    async with serving(stage, desired(replicas=2)) as running:
        stage.hanging = {"web-2"}
        running.take([desired(replicas=2, digest="2")])
        await pause(1)
        running.take([desired(replicas=2)])
        await pause(60)
        assert ready(stage) == {"web-0": "1", "web-1": "1"}
        assert [event.instance for event in stage.told(InstanceStopped)] == ["web-2"]


async def test_proxies_that_never_acknowledge_slow_a_rolling_update_and_do_not_stop_it(stage: Stage) -> None:
    async with serving(stage, desired()) as running:
        stage.acknowledgements.clear()
        running.take([desired(digest="2")])
        await pause(5)
        assert ready(stage) == {"web-0": "1", "web-1": "2"}
        await pause(20)
        assert (ready(stage), running.count) == ({"web-1": "2"}, 1)


async def test_while_the_control_plane_is_away_no_old_replica_goes(stage: Stage) -> None:
    async with serving(stage, desired()) as running:
        stage.reports.clear()
        running.take([desired(digest="2")])
        await pause(600)
        assert stage.told(InstanceStopped) == []
        stage.reports.set()
        await pause(1)
        assert ready(stage) == {"web-1": "2"}


async def test_scaled_to_nothing_and_back(stage: Stage) -> None:
    async with serving(stage, desired(replicas=2)) as running:
        running.take([desired(replicas=0)])
        await pause(1)
        assert (stage.reported, running.count) == ({}, 0)
        running.take([desired(replicas=2)])
        await pause(1)
        assert ready(stage) == {"web-0": "1", "web-1": "1"}


async def test_replicas_that_are_taken_away_while_they_start(stage: Stage) -> None:
    stage.envoys_ready.clear()
    running = workloads(stage)
    async with stage.running(running.run()):
        running.take([desired(replicas=3)])
        await pause(1)
        running.take([desired(replicas=1)])
        await pause(1)
        assert [event.instance for event in stage.told(InstanceStopped)] == ["web-2", "web-1"]
        stage.envoys_ready.set()
        await pause(1)
        assert ready(stage) == {"web-0": "1"}
        assert running.settled.is_set()


async def test_a_workload_that_is_gone_and_comes_back_while_it_drains_gets_a_new_replica(stage: Stage) -> None:
    stage.drain_time = 5
    async with serving(stage, desired()) as running:
        running.take([])
        await pause(1)
        running.take([desired()])
        await pause(1)
        assert ready(stage) == {"web-1": "1"}
        await pause(10)
        assert list(stage.reported) == ["web-1"]


async def test_a_workload_that_cannot_be_read_stays_as_it_is(stage: Stage) -> None:
    async with serving(stage, desired()) as running:
        running.take([desired(digest="2", later=1), desired("api", later=1), desired("ratings")])
        await pause(1)
        assert ready(stage) == {"web-0": "1", "ratings-0": "1"}
    assert [event.workload for event in stage.told(WorkloadInvalid)] == ["web", "api"]


async def test_a_change_that_needs_no_new_replica_reaches_those_that_run(stage: Stage) -> None:
    alive = {"exec": {"command": ["check"]}, "initialDelaySeconds": 5, "failureThreshold": 1}
    async with serving(stage, desired(livenessProbe=alive, ports=[])) as running:
        running.take([desired(livenessProbe=alive, ports=[], terminationGracePeriodSeconds=5)])
        await pause()
        stage.hanging = {"web-0"}
        await pause(5)
        stage.hanging.clear()
        await pause(1)
        running.take([])
        await pause(60)
    assert [application.graces for application in stage.applications] == [[5.0], [pytest.approx(5.0, abs=0.1)]]
    assert [event.instance for event in stage.told(InstanceStarting)] == ["web-0"]


async def test_asking_for_a_restart_replaces_all_replicas(stage: Stage) -> None:
    async with serving(stage, desired()) as running:
        running.take([desired(restarts=1)])
        await pause(1)
        assert list(stage.reported) == ["web-1"]
    assert [event.instance for event in stage.told(InstanceStarting)] == ["web-0", "web-1"]


async def test_stopped_it_ends_when_the_last_replica_has_ended_and_takes_nothing_more(stage: Stage) -> None:
    stage.drain_time = 5
    running = workloads(stage)
    async with stage.running(running.run()) as task:
        running.take([desired(replicas=2), desired("api")])
        await pause(1)
        running.stop()
        running.take([desired("ratings")])
        began = stage.now
        await task
        assert stage.now - began == pytest.approx(5, abs=0.1)  # all at the same time
    assert running.count == 0
    assert len(stage.told(InstanceStopped)) == len(stage.told(InstanceStarting)) == 3


async def test_stopped_while_it_starts_it_was_never_settled(stage: Stage) -> None:
    stage.envoys_ready.clear()
    running = workloads(stage)
    async with stage.running(running.run()) as task:
        running.take([desired()])
        await pause(1)
        running.stop()
        await task
    assert not running.settled.is_set()


async def test_stopped_before_anybody_said_what_to_run_it_ends(stage: Stage) -> None:
    running = workloads(stage)
    running.stop()
    async with asyncio.timeout(1):
        await running.run()


async def test_one_that_cannot_start_ends_all_while_the_mesh_starts(stage: Stage) -> None:
    stage.starting = True
    running = workloads(stage)

    async def start() -> None:
        async with stage.running(running.run()):
            running.take([desired("api")])
            await pause(1)
            stage.places_refused = ["no port is free"]
            running.take([desired("api"), desired()])
            await pause(1)

    with pytest.raises(ExceptionGroup) as raised:
        await start()
    assert raised.group_contains(StartError, match="web-0: no port is free")
    assert stage.log.count("place is closed") == stage.log.count("place is open") == 1
    assert not any(application.running for application in stage.applications)
