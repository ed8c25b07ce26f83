"""Envoys that crash or do not start, in virtual time; tests/envoy has real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.node.played import Stage, pause, workload

from mizzen.node.capturing import Place
from mizzen.node.envoy import EnvoyMissingError
from mizzen.node.envoys import EnvoyKeeper, sidecar
from mizzen.node.events import ProxyCrashed, ProxyReady
from mizzen.node.host import StartError
from mizzen.registry.proxy_settings import StartResource

pytestmark = pytest.mark.looptime


def keeper(stage: Stage, changes: list[tuple[bool, bool]] | None = None, namespace: str = "default") -> EnvoyKeeper:
    """A keeper that notes ``ready`` and ``waiting`` at each change that it tells of."""
    noted: list[tuple[bool, bool]] = changes if changes is not None else []

    def note() -> None:
        noted.append((made.ready, made.waiting))

    made = sidecar(stage.host, workload(), Place(namespace, "web-0", "explicit", "127.0.0.1"), "uid-of-web-0", note)
    return made


async def test_it_is_ready_when_envoy_is(stage: Stage) -> None:
    stage.envoys_ready.clear()
    proxy = keeper(stage)
    async with stage.running(proxy.keep()):
        await pause()
        assert (proxy.ready, proxy.was_ready.is_set(), proxy.pid) == (False, False, 1000)
        stage.envoys_ready.set()
        await pause()
        assert (proxy.ready, proxy.was_ready.is_set(), proxy.message) == (True, True, "")
    assert (proxy.ready, proxy.pid) == (False, 0)
    assert stage.events == [ProxyReady("default", "web-0")]


async def test_a_crash_is_told_and_envoy_starts_again_in_the_same_place(stage: Stage) -> None:
    changes: list[tuple[bool, bool]] = []
    proxy = keeper(stage, changes)
    async with stage.running(proxy.keep()):
        await pause()
        stage.envoys[0].end(-11)
        await pause()
        assert (proxy.pid, proxy.message) == (0, "Envoy ended: killed by SIGSEGV")
        await pause(0.2)
        assert (proxy.pid, proxy.message, proxy.restarts) == (1001, "", 1)
    assert changes == [(False, False), (True, False), (False, True), (False, False), (True, False)]
    assert stage.events[1] == ProxyCrashed("default", "web-0", "Envoy ended: killed by SIGSEGV", 0.2)
    assert stage.envoys[0].sidecar == stage.envoys[1].sidecar
    assert proxy.was_ready.is_set()


async def test_it_waits_longer_after_each_crash_and_forgets_them_when_it_has_run_for_a_while(stage: Stage) -> None:
    async with stage.running(keeper(stage).keep()):
        for run in (0, 1, 2):
            await pause(10)
            stage.envoys[run].end()
        await pause(60)
        stage.envoys[3].end()
        await pause()
    assert [event.delay for event in stage.told(ProxyCrashed)] == [0.2, 0.4, 0.8, 0.2]


@pytest.mark.parametrize("missing", [True, False])
async def test_an_envoy_that_does_not_start_ends_the_start_of_a_mesh(stage: Stage, missing: bool) -> None:
    stage.starting = True
    stage.envoys_ready.clear()
    if missing:
        stage.envoys_refused = [EnvoyMissingError("there is no Envoy")]

    async def start() -> None:
        async with stage.running(keeper(stage).keep()):
            await pause()
            if not missing:
                stage.envoys[0].end()
            await pause()

    with pytest.raises(ExceptionGroup) as raised:
        await start()
    reason = "there is no Envoy" if missing else "Envoy ended before it was ready"
    assert raised.group_contains(StartError, match=f"the proxy of web-0 does not start: {reason}")
    assert stage.log.count("proxy is ended") == (not missing)


async def test_an_envoy_that_has_served_and_crashes_does_not_end_the_start_of_a_mesh(stage: Stage) -> None:
    stage.starting = True
    proxy = keeper(stage)
    async with stage.running(proxy.keep()):
        await pause()
        stage.envoys[0].end()
        stage.envoys_refused = [OSError("disk full")]
        await pause(1)
        assert proxy.ready
    assert [event.message for event in stage.told(ProxyCrashed)] == ["Envoy ended: exit code 1", "disk full"]


async def test_an_envoy_that_crashes_before_it_is_ready_is_tried_again_in_a_running_mesh(stage: Stage) -> None:
    stage.envoys_ready.clear()
    proxy = keeper(stage)
    async with stage.running(proxy.keep()):
        await pause()
        stage.envoys[0].end()
        stage.envoys_ready.set()
        await pause(1)
        assert proxy.ready


async def test_only_an_envoy_that_is_ready_is_drained(stage: Stage) -> None:
    stage.envoys_ready.clear()
    proxy = keeper(stage)
    await proxy.drain(1)
    async with stage.running(proxy.keep()):
        await pause()
        await proxy.drain(1)
        assert "proxy drains" not in stage.log
        stage.envoys_ready.set()
        await pause()
        await proxy.drain(1)
        assert stage.log[-1] == "proxy drains"


async def test_cancelled_it_ends_envoy(stage: Stage) -> None:
    async with stage.running(keeper(stage).keep()) as task:
        await pause()
        task.cancel()
    assert stage.log[-1] == "proxy is ended"
    assert not stage.told(ProxyCrashed)


def test_proxies_of_one_name_in_two_namespaces_have_their_own_sockets(stage: Stage) -> None:
    assert keeper(stage).admin_socket != keeper(stage, namespace="shop").admin_socket


def member(stage: Stage) -> EnvoyKeeper:
    """One whose workload nobody wrote: a container, or a command of `mizzen run`."""
    place = Place("default", "web-0", "explicit", "127.0.0.1")
    return sidecar(stage.host, replace(workload(), proxy=None), place, "uid-of-web-0", lambda: None)


def told(stage: Stage, concurrency: int, digest: str) -> None:
    """Has the node told of a ProxyConfig for all."""
    spec = {"concurrency": concurrency}
    one = StartResource(kind="ProxyConfig", namespace="root", name="it", digest=digest, created=1, spec=spec)
    assert stage.host.starts.take((one,), "root") == ""


def concurrencies(stage: Stage) -> list[int | None]:
    return [envoy.sidecar.settings.concurrency for envoy in stage.envoys]


async def test_one_of_no_workload_is_started_with_what_is_said_then(stage: Stage) -> None:
    told(stage, 2, "two")
    proxy = member(stage)
    async with stage.running(proxy.keep()):
        await pause()
        seen = [proxy.started_with]
        told(stage, 3, "three")
        await pause()
        seen.append(proxy.started_with)
        stage.envoys[0].end()
        await pause()
        seen.append(proxy.started_with)
        await pause(0.3)
        seen.append(proxy.started_with)
    assert seen == [("two",), ("two",), None, ("three",)], "what runs goes on"
    assert concurrencies(stage) == [2, 3]


async def test_one_of_a_workload_is_started_with_what_its_revision_says(stage: Stage) -> None:
    told(stage, 2, "two")
    async with stage.running(keeper(stage).keep()):
        await pause()
    assert concurrencies(stage) == [None]


async def test_one_that_does_not_start_with_what_is_new_starts_with_what_it_had(stage: Stage) -> None:
    told(stage, 2, "good")
    proxy = member(stage)
    async with stage.running(proxy.keep()):
        await pause()
        told(stage, 3, "bad")
        stage.envoys_ready.clear()
        stage.envoys[0].end()
        await pause(0.3)
        stage.envoys[1].end()
        stage.envoys_ready.set()
        await pause(1)
        assert (proxy.ready, proxy.started_with) == (True, ("good",))
        stage.envoys[2].end()
        await pause(1)
        assert proxy.started_with == ("bad",), "it is tried again with each start"
    assert concurrencies(stage) == [2, 3, 2, 3]
    assert [one.message for one in stage.told(ProxyCrashed)][1] == "Envoy ended before it was ready"
