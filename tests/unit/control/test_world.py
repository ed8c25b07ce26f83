from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.support.worlds import instances_of, read
from tests.support.written import service, to, virtual_service, workload
from tests.unit.control.conftest import OpenWorld

from mizzen.control.world import Published, World
from mizzen.registry.reports import Report
from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.resource import Resource
from mizzen.xds.status import Rejection

NOBODY = Report(node="n")
REVIEWS = "reviews.default.svc.cluster.local"
KEY = Key("VirtualService", "default", "reviews")
V1 = virtual_service("reviews", to("reviews", timeout="1s"))
V2 = virtual_service("reviews", to("reviews", timeout="2s"))
V3 = virtual_service("reviews", to("reviews", timeout="3s"))


def resources(*texts: str) -> list[Resource[Any]]:
    return list(load("".join(texts), "applied.yaml").resources)


async def apply(world: World, *texts: str) -> Published:
    return await world.stored(await world._stores.apply(resources(*texts)))


def rejection(published: Published) -> Rejection:
    return Rejection(
        proxy="a-0.default",
        type_url="RDS",
        resource="9080",
        version="x",
        message="no",
        snapshot=published.snapshot.version,
        origins=(KEY,),
    )


def timeout_of(published: Published) -> float | None:
    (rule,) = published.snapshot.virtual_services
    return rule.spec.http[0].timeout


async def test_nothing_is_published_before_a_node_has_said_what_runs(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world._stores.apply(resources(service("reviews")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await world.included(0)
        assert world.is_new
        published = await world.included(world.put_report(NOBODY))
        assert list(published.snapshot.services) == [REVIEWS]
        assert not world.is_new


async def test_a_change_of_a_store_gets_a_version_and_waiting_for_it_shows_it(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        first = await apply(world, service("reviews"))
        second = await apply(world, V1)
        assert second.snapshot.version == first.snapshot.version + 1
        assert [rule.name for rule in second.snapshot.virtual_services] == ["reviews"]


async def test_an_input_that_says_the_same_keeps_the_snapshot(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        before = await apply(world, service("reviews"))
        after = await world.included(world.put_report(Report(node="n")))
        assert after.snapshot is before.snapshot
        assert after.inputs > before.inputs


async def test_what_comes_at_once_is_published_at_once(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), workload("reviews", replicas=3))
        replicas = instances_of(read(service("reviews"), workload("reviews", replicas=3)))
        before = world.published.get()
        assert before is not None
        numbers = [world.put_report(Report(node="n", instances=replicas[:count])) for count in (1, 2, 3)]
        published = await world.included(numbers[0])
        assert published.inputs >= numbers[-1]
        assert published.snapshot.version == before.snapshot.version + 1
        assert len(published.snapshot.endpoints[REVIEWS, 9080]) == 3


async def test_inputs_without_a_pause_are_published_all_the_same(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        start = world.published.get()
        assert start is not None

        async def chatter() -> None:
            while True:
                world.put_report(NOBODY)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
            talking = tasks.create_task(chatter())
            await world.published.until(lambda value: value is not None and value.inputs > start.inputs)
            talking.cancel()


async def test_the_next_control_plane_goes_on_where_this_one_was(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), workload("reviews"))
        before = await world.included(world.restart("default", "reviews"))
    async with open_world() as world:
        assert world.published.get() is None
        after = await world.included(world.put_report(NOBODY))
        assert after.snapshot.version > before.snapshot.version
        assert after.snapshot.services == before.snapshot.services
        assert after.desired.workloads == before.desired.workloads
        assert after.desired.workloads[0].restarts == 1


async def test_a_service_keeps_its_address_while_others_come_and_go(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        before = await apply(world, service("reviews"))
        await apply(world, service("ratings"))
        outcome = await world._stores.delete([Key("Service", "default", "ratings")])
        after = await world.stored(outcome)
        assert after.snapshot.services == before.snapshot.services


async def test_a_rejected_generation_is_replaced_by_the_one_before(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        rejected = await apply(world, V2)
        world.reject(rejection(rejected))
        after = await world.rejections()
        assert timeout_of(rejected) == 2
        assert timeout_of(after) == 1
        assert after.snapshot.version > rejected.snapshot.version
        (problem,) = [problem for problem in after.problems if problem.code == "RejectedByEnvoy"]
        assert problem.resource == KEY
        assert problem.position is not None
        assert problem.position.file == "applied.yaml"
        assert after.contents.resources[KEY].spec.http[0].timeout == 2


async def test_a_second_resource_of_the_same_push_says_nothing_against_what_stands_in(open_world: OpenWorld) -> None:
    """A node's proxy has the routes of each of its instances: it refuses all that a bad generation is in, one by one."""
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        bad = await apply(world, V2)
        world.reject(rejection(bad))
        good = await world.rejections()
        assert timeout_of(good) == 1
        # It comes when the good one is published: the proxy is brought there now, or is still brought to the bad one.
        world.reject(dataclasses.replace(rejection(good), superseded=True))
        world.reject(rejection(bad))
        assert timeout_of(await world.rejections()) == 1


async def test_a_rejected_resource_without_an_earlier_generation_is_not_in_force(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        world.reject(rejection(await apply(world, service("reviews"), V1)))
        after = await world.rejections()
        assert after.snapshot.virtual_services == ()
        assert list(after.set_aside) == [KEY]


async def test_writing_it_anew_lifts_a_rejection(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        world.reject(rejection(await apply(world, service("reviews"), V1)))
        await world.rejections()
        after = await apply(world, V2)
        assert timeout_of(after) == 2
        assert not after.set_aside


async def test_what_was_rejected_before_does_not_come_back_in_force(open_world: OpenWorld) -> None:
    """Good, bad, bad again: of the two bad ones neither may stand in for the other."""
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        world.reject(rejection(await apply(world, V2)))
        await world.rejections()
        world.reject(rejection(await apply(world, V3)))
        after = await world.rejections()
        assert timeout_of(after) == 1


async def test_a_generation_that_is_refused_where_it_stands_in_gives_way_to_the_one_before(
    open_world: OpenWorld,
) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        await apply(world, V2)
        world.reject(rejection(await apply(world, V3)))
        stands_in = await world.rejections()
        assert timeout_of(stands_in) == 2
        world.reject(rejection(stands_in))
        assert timeout_of(await world.rejections()) == 1


async def test_several_proxies_that_say_the_same_count_once(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        await apply(world, V2)
        rejected = await apply(world, V3)
        for _ in range(3):
            world.reject(rejection(rejected))
        assert timeout_of(await world.rejections()) == 2


async def test_a_rejection_outlives_the_control_plane(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await apply(world, service("reviews"), V1)
        world.reject(rejection(await apply(world, V2)))
        await world.rejections()
        # What the next one must know is written after it is published; wait for the database, not for a time.
        async with asyncio.timeout(5):
            while not (await world._stores.section("control")).get("set_aside"):
                await asyncio.sleep(0)
    async with open_world() as world:
        after = await world.included(world.put_report(NOBODY))
        assert list(after.set_aside) == [KEY]
        assert timeout_of(after) == 1


async def test_an_edit_of_a_watched_file_is_published(open_world: OpenWorld, tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(service("reviews"))
    async with open_world(file, report=NOBODY) as world:
        file.write_text(service("reviews") + service("ratings"))
        async with asyncio.timeout(10):
            published = await world.published.until(
                lambda value: value is not None and len(value.snapshot.services) == 2
            )
        assert published is not None
