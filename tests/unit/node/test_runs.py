"""The life of a run in virtual time: `mizzen run` is played, and so is everything around the node."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.unit.node.played import Stage, pause
from tests.unit.node.played_runs import PlayedRun, serving, wish

from mizzen.node import attended
from mizzen.node.events import InstanceNotReady
from mizzen.node.explicit import ExplicitCapture
from mizzen.node.probes import Answer
from mizzen.node.run_messages import (
    Again,
    End,
    Ended,
    FromRun,
    Go,
    Gone,
    Leave,
    Ready,
    Refused,
    RunPlace,
    Told,
)
from mizzen.node.runs import Runs
from mizzen.registry.proxy_settings import StartResource
from mizzen.registry.reports import Desired, DesiredWorkload, FoundPort, Report, ServiceName

pytestmark = pytest.mark.looptime

IN = [
    "place is open",
    "certificate for default/web",
    "reported Starting",
    "proxy starts",
    "proxy is ready",
    "told Go",
    "reported Running and ready",
    "acknowledged",
    "told Ready",
]
OUT = [
    "reported Draining",
    "acknowledged",
    "proxy drains",
    "told End",
    "proxy is ended",
    "certificate is released",
    "place is closed",
    "told Gone",
]


@pytest.fixture(autouse=True)
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The groups that were killed; all processes are played."""
    groups: list[int] = []
    monkeypatch.setattr(attended, "start_time", lambda pid: f"start of {pid}")
    monkeypatch.setattr(attended, "kill_group", lambda pid, _: groups.append(pid))
    return groups


def in_order(log: list[str], *steps: str) -> bool:
    rest = iter(log)
    return all(step in rest for step in steps)


async def test_the_way_in_and_the_way_out_are_in_order(stage: Stage) -> None:
    async with serving(stage) as node:
        run = node.connect(wish())
        await pause()
        assert in_order(stage.log, *IN), stage.log
        go: Go = run.last(Go)
        assert (go.env["PORT"], go.env["HOME"], go.env["HOSTNAME"]) == ("20100", "/root", "web-r0")
        assert go.place.ports[0].number == 8080
        state = stage.reported["web-r0"]
        assert (state.workload, state.service_account, state.pid) == ("web", "web", run.pid)
        assert state.labels == {"app": "web", "service.mizzen.dev/web": "true"}
        before = len(stage.log)
        run.say(Leave())
        await pause()
        assert in_order(stage.log[before:], *OUT), stage.log[before:]
        assert run.is_closed
        assert stage.reported == {}


async def test_a_command_that_ends_by_itself_leaves_in_order_too(stage: Stage) -> None:
    async with serving(stage) as node:
        run = node.connect(wish())
        await pause()
        before = len(stage.log)
        run.say(Ended())
        await pause()
        assert in_order(stage.log[before:], *(step for step in OUT if step != "told End"))
        assert "told End" not in stage.log


async def test_a_run_whose_connection_breaks_is_cleaned_up_at_once(stage: Stage, killed: list[int]) -> None:
    async with serving(stage) as node:
        run = node.connect(wish())
        await pause()
        run.say(None)
        await pause()
        assert killed == [run.pid]
        assert stage.log[-3:] == ["certificate is released", "place is closed", "told Gone"]


async def test_a_run_can_break_off_while_it_drains(stage: Stage, killed: list[int]) -> None:
    async with serving(stage) as node:
        stage.drain_time = 5
        run = node.connect(wish(), obedient=False)
        await pause()
        run.say(Leave())
        await pause()
        run.say(None)
        await pause(6)
        assert killed == [run.pid]
        assert stage.log[-1] == "told Gone"


async def test_a_command_that_does_not_end_is_killed(stage: Stage, killed: list[int]) -> None:
    async with serving(stage) as node:
        run = node.connect(wish(terminationGracePeriodSeconds=5), obedient=False)
        await pause()
        run.say(Leave())
        await pause(6)
        assert run.last(End).grace == pytest.approx(5, abs=0.1)
        assert not killed
        await pause(2)
        assert killed == [run.pid]
        assert stage.log[-1] == "told Gone"


async def test_the_end_of_the_mesh_is_that_of_its_runs(stage: Stage) -> None:
    began = stage.now
    async with serving(stage) as node:
        run = node.connect(wish())
        waiting = node.connect(None)
        silent = PlayedRun(stage)
        node._group.create_task(node.runs._attend(silent.link))
        await pause()
        node.runs.stop()
        late = node.connect(wish("late"))
        await pause()
        assert in_order(stage.log, *OUT)
        assert all(one.is_closed for one in (run, waiting, silent, late))
        assert late.told == []
    assert stage.now - began < 1


@pytest.mark.parametrize("gate", ["certificates", "reports", "envoys_ready"])
async def test_it_can_leave_before_it_was_there(stage: Stage, gate: str) -> None:
    async with serving(stage) as node:
        getattr(stage, gate).clear()
        run = node.connect(wish())
        await pause()
        run.say(Leave())
        await pause()
        assert run.told == [Gone()]
        assert stage.log[-2] == "place is closed"
        getattr(stage, gate).set()


async def test_it_waits_until_the_node_knows_what_it_should_run(stage: Stage) -> None:
    async with serving(stage) as node:
        node.runs = Runs(stage.host, stage.node_proxy)
        run = node.connect(wish())
        await pause(60)
        assert stage.log == []
        node.runs.take(Desired(version=1, trust_domain="cluster.local"))
        await pause()
        assert run.last(Ready)


async def test_what_cannot_begin_is_refused(stage: Stage) -> None:
    async with serving(stage) as node:
        stage.places_refused = ["no port is free"]
        run = node.connect(wish())
        await pause()
        assert run.told == [Refused("web-r0: no port is free")]
        stage.envoys_refused = [OSError("no memory")]
        run = node.connect(wish())
        await pause()
        assert run.told == [Refused("the proxy of web-r0 does not start: no memory")]
        assert stage.reported == {}
        assert run.is_closed


async def test_what_has_begun_is_kept_up(stage: Stage) -> None:
    async with serving(stage) as node:
        run = node.connect(wish())
        await pause()
        stage.envoys_refused = [OSError("no memory")]
        stage.envoys[0].end(3)
        await pause(10)
        assert stage.reported["web-r0"].ready
        assert [type(message) for message in run.told] == [Go, Ready, Ready]


async def test_the_name_of_a_workload_is_refused(stage: Stage) -> None:
    async with serving(stage) as node:
        written = DesiredWorkload(namespace="default", name="web", digest="1", spec={})
        node.runs.take(Desired(version=2, trust_domain="cluster.local", workloads=(written,)))
        run = node.connect(wish())
        await pause()
        assert "there is a Workload web in namespace default" in run.last(Refused).message


@pytest.mark.parametrize("said", [msgspec.DecodeError("unknown"), wish(replicas="many")])
async def test_another_version_of_mizzen_is_told_apart(stage: Stage, said: FromRun | Exception) -> None:
    async with serving(stage) as node:
        run = node.connect(said)
        await pause()
        assert "version of Mizzen" in run.last(Refused).message
        assert run.is_closed


async def test_several_runs_of_one_name_have_names_of_their_own(stage: Stage) -> None:
    async with serving(stage) as node:
        first, *_ = [node.connect(wish()) for _ in range(3)]
        await pause()
        assert set(stage.reported) == {"web-r0", "web-r1", "web-r2"}
        first.say(Ended())
        await pause()
        node.connect(wish())
        await pause()
        assert set(stage.reported) == {"web-r0", "web-r1", "web-r2"}


async def test_a_run_is_ready_when_its_probe_passes(stage: Stage) -> None:
    async with serving(stage) as node:
        stage.answer = Answer(False, "Connection refused")
        run = node.connect(wish())
        await pause(4)
        assert run.told == [run.last(Go)]
        await pause(2)
        assert (
            "web-r0 is not ready: Connection refused (does the application listen on $(PORT)" in run.last(Told).message
        )
        assert stage.told(InstanceNotReady)
        stage.answer = Answer(True)
        await pause(10)
        assert run.last(Ready)
        assert stage.reported["web-r0"].ready


async def test_a_run_without_ports_is_ready_when_it_has_started(stage: Stage) -> None:
    async with serving(stage) as node:
        stage.answer = Answer(False, "nobody asks")
        run = node.connect(wish(services=(), ports=[]))
        await pause()
        assert run.last(Ready)


class Services:
    """What the control plane was told last of services that were found."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self._take = stage.board._send
        self.reported: Report | None = None
        monkeypatch.setattr(stage.board, "_send", self.take)

    async def take(self, report: Report) -> int:
        self.reported = report
        return await self._take(report)

    @property
    def now(self) -> dict[str, tuple[FoundPort, ...]]:
        assert self.reported
        return {one.name: one.ports for one in self.reported.services}


async def test_its_services_outlast_it_for_some_minutes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(stage) as node:
        services = Services(stage, monkeypatch)
        run = node.connect(wish(services=("web", "shop")))
        await pause()
        port = FoundPort(number=8080, name="http")
        assert services.now == {"web": (port,), "shop": (port,)}
        run.say(Ended())
        await pause(200)
        assert set(services.now) == {"web", "shop"}
        again = node.connect(wish(services=("web",)))
        await pause(200)
        assert set(services.now) == {"web"}
        assert services.reported
        assert services.reported.services[0].accounts == ("web",)
        again.say(None)
        await pause(400)
        assert services.now == {}


async def test_services_of_those_that_have_ended_may_be_dismissed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(stage) as node:
        services = Services(stage, monkeypatch)
        run, other = node.connect(wish(services=("web", "shop"))), node.connect(wish("other", services=("web",)))
        await pause()
        run.say(Ended())
        await pause(1)
        dismissed = (("default", "web"), ("default", "shop"))
        node.runs.take(Desired(version=2, trust_domain="cluster.local", dismissed=dismissed))
        await pause()
        assert set(services.now) == {"web"}, "one that runs offers it"
        other.say(Ended())
        await pause(1)
        node.runs.take(Desired(version=3, trust_domain="cluster.local", dismissed=dismissed))
        await pause()
        assert services.now == {}


async def test_new_services_are_reported_for_all_runs(stage: Stage) -> None:
    async with serving(stage) as node:
        node.connect(wish())
        await pause()
        stage.services = (
            ServiceName(host="a.default.svc.cluster.local", name="a", namespace="default", address="", ports=(80,)),
        )
        node.runs.refresh()
        await pause()
        assert [port.host for port in stage.reported["web-r0"].outbound] == ["a.default.svc.cluster.local"]


async def test_who_asks_twice_ends_all_runs_at_once(stage: Stage, killed: list[int]) -> None:
    async with serving(stage) as node:
        run = node.connect(wish())
        await pause()
        node.runs.kill()
        assert killed == [run.pid]


def again_of(place: RunPlace) -> Again:
    return Again(place=place, pid=4711, started=1000.0)


@contextlib.asynccontextmanager
async def explicit(stage: Stage) -> AsyncIterator[ExplicitCapture]:
    """A stage with the real capture of loopback ports."""
    async with ExplicitCapture() as capture:
        object.__setattr__(stage.host, "capture", capture)
        yield capture


async def test_a_run_goes_on_with_the_next_node_in_the_same_place(stage: Stage) -> None:
    async with serving(stage) as node:
        async with explicit(stage):
            run = node.connect(wish())
            await pause()
            place = run.last(Go).place
            run.say(None)
            await pause()
        async with explicit(stage) as capture:
            resumed = node.connect(wish(again=again_of(place)))
            await pause()
            assert resumed.told == [Ready()]
            state = stage.reported["web-r0"]
            assert (state.pid, state.started, state.ports, state.http_proxy) == (
                4711,
                1000.0,
                place.ports,
                place.http_proxy,
            )
            assert not set(place.taken) & {capture._ports.take() for _ in range(20)}
            resumed.say(Leave())
            await pause()
            assert [type(message) for message in resumed.told] == [Ready, End, Gone]


async def test_a_run_whose_ports_have_gone_to_others_is_refused(stage: Stage) -> None:
    async with serving(stage) as node, explicit(stage), ExplicitCapture() as other:
        run = node.connect(wish())
        await pause()
        place = run.last(Go).place
        run.say(None)
        await pause()
        assert other._ports.take_back(place.http_proxy)
        resumed = node.connect(wish(again=again_of(place)))
        await pause()
        assert resumed.told == [Refused(f"web-r0: port {place.http_proxy} of web-r0 has gone to another process")]


async def test_a_run_whose_network_went_with_its_node_is_refused(stage: Stage) -> None:
    async with serving(stage) as node:
        run = node.connect(wish(again=again_of(RunPlace(instance="web-r0", netns="/proc/1/fd/3"))))
        await pause()
        assert run.told == [Refused("web-r0: its network went with the node that had made it")]


async def test_a_run_starts_its_proxy_as_the_mesh_has_it(stage: Stage) -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "concurrency": 2}
    one = StartResource(kind="ProxyConfig", namespace="default", name="it", digest="1", created=1, spec=spec)
    stage.host.starts.take((one,), "istio-system")
    async with serving(stage) as node:
        node.connect(wish())
        await pause()
        assert stage.envoys[0].sidecar.settings.concurrency == 2
        assert stage.reported["web-r0"].started_with == ("1",)
