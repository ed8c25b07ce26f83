"""A command that `mizzen run` has started, as an instance of the mesh: watched from here, kept and ended over there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

from mizzen.node import probes, readiness, specs
from mizzen.node.capturing import CaptureError, Place
from mizzen.node.environment import environment
from mizzen.node.events import InstanceNotReady
from mizzen.node.explicit import ExplicitCapture
from mizzen.node.host import Host
from mizzen.node.leftovers import kill_group
from mizzen.node.probes import Surroundings
from mizzen.node.process_table import start_time
from mizzen.node.run_messages import End, FromRun, Go, Link, RunPlace, Told, Wish
from mizzen.node.specs import Workload

# How long the command gets where nobody can wait for its own grace period: the node gives up.
_HASTY_GRACE = 3.0
# How much longer than the grace period it may take `mizzen run` to say that the command has ended.
_SLACK = 2.0


class Attendant:
    """`mizzen run` at the other end of a connection. ``going`` is True from when the command may start; ``pid`` is its
    process group while it runs, ``started`` Unix time. ``ended`` is set when it runs no more, or never will.
    """

    def __init__(self, link: Link[FromRun], wish: Wish) -> None:
        self.wish = wish
        self.link = link
        self.going = False
        self.pid = 0
        self.started = 0.0
        self.running = asyncio.Event()
        self.ended = asyncio.Event()
        self._identity: str | None = None
        if again := wish.again:
            self.has_started(again.pid, again.started)

    def has_started(self, pid: int, started: float = 0.0) -> None:
        self.pid, self.started = pid, started or time.time()
        self._identity = start_time(pid)
        self.running.set()

    def has_ended(self) -> None:
        self.pid = 0
        self.ended.set()

    def kill(self) -> None:
        """Kills what is left of the command and of all that it started, as `mizzen run` does not or is gone."""
        if self.pid:
            kill_group(self.pid, self._identity)

    async def end(self, grace: float) -> None:
        """Has the command ended, and waits until it has; kills it where `mizzen run` does not."""
        try:
            self.link.send(End(grace))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace + _SLACK):
                    await self.ended.wait()
        finally:
            if not self.ended.is_set():
                self.kill()


class RunRuntime:
    """A :class:`mizzen.node.runtimes.Runtime` for one command of `mizzen run`."""

    def __init__(self, host: Host, name: str, attendant: Attendant) -> None:
        self._host = host
        self._name = name
        self._attendant = attendant

    async def open(self, workload: Workload) -> Place:
        capture, again = self._host.capture, self._attendant.wish.again
        if again is None:
            return await capture.open(workload.namespace, self._name, workload.ports)
        if not isinstance(capture, ExplicitCapture):
            raise CaptureError("its network went with the node that had made it")
        place = Place(
            namespace=workload.namespace,
            instance=self._name,
            capture=capture.mode,
            address="127.0.0.1",
            ports=again.place.ports,
            http_proxy=again.place.http_proxy,
        )
        return await capture.reopen(place, again.place.outbound)

    async def close(self, place: Place) -> None:
        await self._host.capture.close(place)

    def application(self, workload: Workload, place: Place, changed: Callable[[], None]) -> AttendedApplication:
        return AttendedApplication(self._host, workload, place, changed, self._attendant)


class AttendedApplication:
    """A :class:`mizzen.node.runtimes.Application` that `mizzen run` starts when it is told that its proxy is ready."""

    def __init__(
        self, host: Host, workload: Workload, place: Place, changed: Callable[[], None], attendant: Attendant
    ) -> None:
        self._host = host
        self._workload = workload
        self._place = place
        self._changed = changed
        self._attendant = attendant
        self.env: Mapping[str, str] = self._environment()
        self.grace = min(_HASTY_GRACE, workload.grace)
        self.captured = True  # from its first breath
        self.bypassed = False
        self.ready = False
        self.waiting = False
        self.message = ""
        self.restarts = 0

    @property
    def pid(self) -> int:
        return self._attendant.pid

    @property
    def started(self) -> float:
        return self._attendant.started

    def adopt(self, workload: Workload) -> None:
        """What a run is does not change while it lasts."""

    async def part(self) -> None:
        """It ends with the instance."""

    async def keep(self) -> None:
        """Has the command started, and watches it until it has ended, or has it ended when this is cancelled."""
        attendant = self._attendant
        attendant.going = True
        if not attendant.pid:
            self.env = self._environment()
            attendant.link.send(Go(place=self._told_place(), env=dict(self.env)))
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                await attendant.ended.wait()
                watch.cancel()
        finally:
            self.ready = False
            if not attendant.ended.is_set():
                await attendant.end(self.grace)

    async def _watch(self) -> None:
        await self._attendant.running.wait()
        if probe := specs.readiness(self._workload.spec, self._place.ports):
            self.message = f"waiting for {probes.describe(probe.action)}"
            self._changed()
            around = Surroundings(self._place, self._host.records, self.env, self._workload.spec.working_dir)
            await readiness.watch(probe, around, self._set_ready)
        else:
            self.ready = True
            self._changed()

    async def _set_ready(self, ready: bool, message: str) -> None:
        self.ready, self.message = ready, message
        if not ready:
            self._host.emit(InstanceNotReady(self._place.namespace, self._place.instance, message))
            self._attendant.link.send(Told(f"{self._place.instance} is not ready: {message}"))
        self._changed()

    def _environment(self) -> dict[str, str]:
        outbound = self._host.capture.outbound(self._place)
        return environment(self._attendant.wish.env, self._place, self._host.services(), outbound, ())

    def _told_place(self) -> RunPlace:
        place = self._place
        return RunPlace(
            instance=place.instance,
            ports=place.ports,
            http_proxy=place.http_proxy,
            outbound=self._host.capture.outbound(place),
            netns=place.netns,
            resolv_conf=place.resolv_conf,
        )
