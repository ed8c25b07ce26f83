"""What the node sees of containers, with the real Podman: its answers, its events and how fast they are, its absence."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from tests.support import containers as support
from tests.support import images
from tests.support.polling import eventually

from mizzen.node.engine import client
from mizzen.node.engine.watching import ContainerWatch
from mizzen.registry.containers import Container, Described, Excluded, describe
from mizzen.registry.reports import InstancePort

pytestmark = [pytest.mark.privileged, pytest.mark.containers]

Containers = Mapping[str, Container]

# From the time that Podman gives an event to the moment at which the node knows, in seconds.
LATENCY = 0.1


@pytest.fixture(scope="module")
def shared() -> Iterator[support.Engine]:
    with support.engine() as made:
        made.network("shop", "10.89.77.0/24")
        made.network("back")
        yield made


@pytest.fixture
def podman(shared: support.Engine) -> Iterator[support.Engine]:
    """The engine that all tests share, without any container."""
    yield shared
    if shared.service is None:
        shared.start_service()
    shared.podman("pod", "rm", "--all", "--force", "--time", "0")
    for id_ in shared.podman("ps", "--all", "--quiet").split():
        shared.podman("rm", "--force", "--ignore", "--depend", "--time", "0", id_)


@contextlib.asynccontextmanager
async def watching(podman: support.Engine) -> AsyncIterator[ContainerWatch]:
    async with client.Engine(podman.socket) as engine, asyncio.timeout(100), asyncio.TaskGroup() as group:
        watch = ContainerWatch(engine)
        task = group.create_task(watch.run())
        await watch.containers.until(lambda containers: containers is not None)
        yield watch
        task.cancel()


async def until(watch: ContainerWatch, condition: Callable[[dict[str, Container]], bool]) -> dict[str, Container]:
    """Returns the containers by name, as soon as they fulfil a condition."""
    found = await watch.containers.until(
        lambda containers: containers is not None and condition({one.name: one for one in containers.values()})
    )
    assert found is not None
    return {one.name: one for one in found.values()}


async def inspected(podman: support.Engine, name: str) -> Container:
    async with client.Engine(podman.socket) as engine:
        found = await engine.inspect(name)
    assert found is not None
    return found


async def test_what_a_container_is(podman: support.Engine) -> None:
    compose = {"com.docker.compose.project": "shop", "com.docker.compose.service": "reviews-v1"}
    asked = support.Container(
        "shop_reviews-v1_1", network="shop", aliases=("reviews", "reviews-v1"), labels=compose, ports={8080: 18080}
    )
    id_ = podman.run(asked)
    one = await inspected(podman, "shop_reviews-v1_1")
    assert (one.id, one.name, one.image, one.state, one.health) == (
        id_,
        asked.name,
        f"{images.BASE}:latest",
        "running",
        "",
    )
    assert (one.pid, one.hostname, one.network_mode) == (podman.pid(id_), asked.name, "bridge")
    assert (one.exposed, one.published) == ((8080,), (8080,))
    assert 0 < one.created <= one.started_at <= time.time()
    (network,) = one.networks
    assert (network.name, network.gateway, network.prefix_length) == ("shop", "10.89.77.1", 24)
    assert set(network.aliases) == {"reviews", "reviews-v1", id_[:12]}
    # Engine and test have mounts of their own.
    namespace = Path(f"/proc/{podman.host.holder}/root{one.netns}")
    assert namespace.stat().st_ino == Path(f"/proc/{one.pid}/ns/net").stat().st_ino
    assert f"nameserver {network.gateway}" in Path(one.resolv_conf).read_text()
    stand = describe(one)
    assert isinstance(stand, Described)
    assert (stand.name, stand.workload, stand.ready) == ("shop-reviews-v1-1", "reviews-v1", True)
    assert stand.services == ("reviews-v1", "shop_reviews-v1_1", "reviews")
    assert (stand.address, stand.networks, stand.gateways) == (network.address, ("10.89.77.0/24",), ("10.89.77.1",))
    assert stand.labels.items() >= (compose | {"app": "reviews", "version": "v1"}).items()
    assert stand.ports == (
        InstancePort(
            number=8080, application=8080, inbound=8080, name="http-8080", app_protocol="http", published=True
        ),
    )


async def test_containers_that_do_not_run_keep_their_names(podman: support.Engine) -> None:
    podman.create(support.Container("made", network="shop", aliases=("x",)))
    podman.run(support.Container("over", command=("sleep", "0"), network="shop", aliases=("x",)))
    async with watching(podman) as watch:
        found = await until(watch, lambda found: found["over"].state == "exited")
    for one, state in ((found["made"], "created"), (found["over"], "exited")):
        assert (one.state, one.pid, one.networks[0].address, one.exposed) == (state, 0, "", (8080,))
        stand = describe(one)
        assert isinstance(stand, Described)
        assert (stand.services, stand.ready) == ((one.name, "x"), False)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("host", "it is in the host's network"),
        ("none", "it has no network"),
        ("container:owner", "it shares the network of container "),
    ],
)
async def test_containers_that_cannot_be_in_the_mesh(podman: support.Engine, mode: str, reason: str) -> None:
    podman.run(support.Container("owner", network="shop"))
    podman.podman(
        "run", "--detach", "--network", mode, "--cgroup-parent", podman.group.name, "--name", "one", images.BASE
    )
    stand = describe(await inspected(podman, "one"))
    assert isinstance(stand, Excluded)
    assert stand.reason.startswith(reason)


async def test_the_container_that_holds_a_pod(podman: support.Engine) -> None:
    made = ("pod", "create", "--name", "pod", "--cgroup-parent", podman.group.name)
    podman.podman(*made, "--infra-image", images.BASE, "--infra-command", "sleep 1000")
    podman.podman("pod", "start", "pod")
    async with watching(podman) as watch:
        (holder,) = (await until(watch, lambda found: len(found) == 1)).values()
    stand = describe(holder)
    assert isinstance(stand, Excluded)
    assert stand.reason.startswith("it holds the network of a pod")


class Clock:
    """Tells how long after Podman's events something was seen; before them, if they were late."""

    def __init__(self, podman: support.Engine) -> None:
        self._log = podman.folder / "tmp/events/events.log"
        self.latencies: dict[str, list[float]] = {}

    def count(self, status: str) -> int:
        return len(self._times(status))

    async def note(self, status: str, seen: float, number: int) -> None:
        """Takes when the event of that number was seen, once Podman has written it down."""
        times = await asyncio.to_thread(
            eventually, lambda: self._times(status)[number:], f"Podman has written down event {number} of {status}"
        )
        self.latencies.setdefault(status, []).append(seen - times[0])

    def medians(self) -> dict[str, float]:
        return {status: statistics.median(values) for status, values in self.latencies.items()}

    def _times(self, status: str) -> list[float]:
        events = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [_seconds(event["Time"]) for event in events if event["Status"] == status]


def _seconds(written: str) -> float:
    whole, _, fraction = written.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


async def seen(
    watch: ContainerWatch, act: Callable[[], object], shows: Callable[[dict[str, Container]], bool]
) -> tuple[float, float]:
    """Does something to a container; returns when the watch showed it, and when it was done."""

    def timed() -> float:
        act()
        return time.time()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.to_thread(timed))
        await until(watch, shows)
        shown = time.time()
    return shown, task.result()


async def test_a_life_is_seen_at_once(podman: support.Engine, record_property: Callable[[str, object], None]) -> None:
    steps: list[tuple[str, Callable[[], object], Callable[[dict[str, Container]], bool]]] = [
        ("create", lambda: podman.create(support.Container("a", network="shop")), lambda now: "a" in now),
        ("start", lambda: podman.start("a"), lambda now: now["a"].state == "running"),
        ("pause", lambda: podman.pause("a"), lambda now: now["a"].state == "paused"),
        ("unpause", lambda: podman.unpause("a"), lambda now: now["a"].state == "running"),
        ("rename", lambda: podman.rename("a", "b"), lambda now: "b" in now),
        ("connect", lambda: podman.podman("network", "connect", "back", "b"), lambda now: len(now["b"].networks) == 2),
        ("disconnect", lambda: podman.podman("network", "disconnect", "back", "b"), lambda now: len(now["b"].networks) == 1),
        ("died", lambda: podman.kill("b"), lambda now: now["b"].state == "exited"),
        ("remove", lambda: podman.rm("b"), lambda now: "b" not in now),
    ]  # fmt: skip
    clock = Clock(podman)
    async with watching(podman) as watch:
        for _ in range(5):
            for status, act, shows in steps:
                number = clock.count(status)
                shown, done = await seen(watch, act, shows)
                if status in {"connect", "disconnect"}:
                    # Podman tells of these before it does them, and answers nobody meanwhile.
                    clock.latencies.setdefault(status, []).append(shown - done)
                else:
                    await clock.note(status, shown, number)
    medians = clock.medians()
    record_property("latency", medians)
    print({status: f"{1000 * value:.0f} ms" for status, value in medians.items()})
    assert max(medians.values()) < LATENCY, medians


def _is(health: str, now: dict[str, Container]) -> bool:
    return now["a"].health == health


async def test_health_is_seen_at_once(podman: support.Engine, record_property: Callable[[str, object], None]) -> None:
    clock = Clock(podman)
    podman.run(support.Container("a", network="shop", health="test -e /tmp/well"))
    async with watching(podman) as watch:
        assert (await until(watch, lambda _: True))["a"].health == "starting"
        for _ in range(4):
            for health, command in (("unhealthy", "rm -f /tmp/well"), ("healthy", "echo > /tmp/well")):
                podman.exec("a", "sh", "-c", command)
                number = clock.count("exec_died")
                check = functools.partial(podman.podman, "healthcheck", "run", "a", check=False)
                shown, _ = await seen(watch, check, functools.partial(_is, health))
                await clock.note("exec_died", shown, number)
        assert describe((await until(watch, lambda _: True))["a"]).reason == ""
    medians = clock.medians()
    record_property("latency", medians)
    print({status: f"{1000 * value:.0f} ms" for status, value in medians.items()})
    assert max(medians.values()) < LATENCY, medians


async def test_the_engine_is_killed_and_containers_go_on_and_end(podman: support.Engine) -> None:
    for name in ("stays", "ends", "leaves"):
        podman.run(support.Container(name, network="shop"))
    async with watching(podman) as watch:
        pid = (await until(watch, lambda _: True))["ends"].pid
        podman.kill_service()
        assert "cannot be reached" in await watch.trouble.until(bool)
        assert {one.state for one in (await until(watch, lambda _: True)).values()} == {"running"}
        Path(f"/proc/{pid}").stat()
        began = time.monotonic()
        podman.podman("kill", "ends")
        away = await until(watch, lambda now: now["ends"].state == "exited")
        assert time.monotonic() - began < 5
        assert {name for name, one in away.items() if one.state == "running"} == {"stays", "leaves"}
        podman.podman("rm", "--force", "--time", "0", "leaves")
        podman.start_service()
        await watch.trouble.until(lambda trouble: not trouble)
        back = await until(watch, lambda now: set(now) == {"stays", "ends"})
        assert (back["stays"].state, back["ends"].state) == ("running", "exited")
        podman.start("ends")
        await until(watch, lambda now: now["ends"].state == "running" and now["ends"].pid != pid)


async def test_many_containers_in_random_order(podman: support.Engine) -> None:
    """Whatever happens at once: in the end the watch and the engine say the same."""
    dice = random.Random(7)

    def live(number: int) -> None:
        name = f"c{number}"
        podman.run(support.Container(name, network="shop"))
        if dice.random() < 0.5:
            podman.rename(name, name := f"{name}-x")
        if dice.random() < 0.5:
            podman.kill(name)
        if dice.random() < 0.5:
            podman.rm(name)

    async with watching(podman) as watch:
        await asyncio.gather(*(asyncio.to_thread(live, number) for number in range(10)))
        async with client.Engine(podman.socket) as engine:
            expected = {id_: await engine.inspect(id_) for id_ in await engine.ids()}
        await watch.containers.until(lambda found: found == expected)
