"""Keeps the application of one instance running: starts it, probes it, starts it again when it ends.

An application that ends by itself is started again whatever its exit code (Kubernetes' restartPolicy Always).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mizzen.node import probes, processes, readiness, specs
from mizzen.node.capturing import Place
from mizzen.node.environment import environment, expand
from mizzen.node.events import InstanceCrashed, InstanceNotReady
from mizzen.node.host import Host, StartError
from mizzen.node.output import Output
from mizzen.node.probes import Probe, Surroundings, Tally
from mizzen.node.processes import Command, Exit, Process
from mizzen.node.specs import Workload

# How long an application may take to end where nobody can wait for its own grace period: the node gives up.
_HASTY_GRACE = 3.0


class ApplicationKeeper:
    """``changed`` is called after each change of the attributes. ``waiting`` is True between a crash and the next
    start; ``message`` says what is wrong; ``started`` is Unix time. ``grace`` (seconds) is what the application gets
    when :meth:`keep` is cancelled.
    """

    def __init__(self, host: Host, workload: Workload, place: Place, changed: Callable[[], None]) -> None:
        self._host = host
        self._workload = workload
        self._place = place
        self._changed = changed
        self._output = Output(host.settings.log_file(place.namespace, place.instance))
        self._fault = ""
        self.grace = min(_HASTY_GRACE, workload.grace)
        self.env = self._environment()
        self.captured = True  # from its first breath
        self.bypassed = False
        self.ready = False
        self.waiting = False
        self.message = ""
        self.pid = 0
        self.restarts = 0
        self.started = 0.0

    def adopt(self, workload: Workload) -> None:
        """Takes the workload in another form of the same revision; see :meth:`InstanceRunner.adopt`."""
        self._workload = workload
        self.grace = min(_HASTY_GRACE, workload.grace)

    async def part(self) -> None:
        """It ends with the instance."""

    async def keep(self) -> None:
        """Keeps it until this is cancelled, and ends it then. Raises :class:`StartError` for a command that cannot be
        started while the mesh starts.
        """
        failures = 0
        while True:
            end, message = await self._run()
            if end.complaint and self._host.starting():
                raise StartError(f"Workload {self._workload.namespace}/{self._workload.name}: {end.complaint}")
            failures = self._host.backoff.failures(failures, end.ran)
            delay = self._host.delay(failures)
            self.message = message
            self.waiting = True
            self.restarts += 1
            self._host.emit(InstanceCrashed(self._place.namespace, self._place.instance, message, delay))
            self._changed()
            await asyncio.sleep(delay)
            self.waiting = False

    async def _run(self) -> tuple[Exit, str]:
        """Runs the application once, from start to end; returns how it ended and how to say so."""
        try:
            self.env = self._environment()
            process = await processes.start(self._command(), self._output, self._host.records)
        except (OSError, ValueError) as error:  # the system has no process left, or a NUL in the command
            return Exit(-1, 0.0), f"cannot start a process: {error}"
        self.pid = process.pid
        self.started = time.time()
        self._fault = ""
        try:
            async with asyncio.TaskGroup() as group:
                watches = self._start_probes(group, process)
                self._changed()
                end = await process.wait()
                for watch in watches:
                    watch.cancel()
        finally:
            self.ready = False
            await process.stop(self.grace)
            self.pid = 0
        return end, self._fault or self._last_words(end, process.tail)

    def _start_probes(self, group: asyncio.TaskGroup, process: Process) -> list[asyncio.Task[None]]:
        spec, ports = self._workload.spec, self._place.ports
        around = Surroundings(self._place, self._host.records, self.env, spec.working_dir)
        watches = []
        if probe := specs.readiness(spec, ports):
            self.message = f"waiting for {probes.describe(probe.action)}"
            watches.append(group.create_task(readiness.watch(probe, around, self._set_ready)))
        else:
            self.ready, self.message = True, ""
        if probe := specs.liveness(spec, ports):
            watches.append(group.create_task(self._watch_life(probe, around, process)))
        return watches

    async def _set_ready(self, ready: bool, message: str) -> None:
        self.ready, self.message = ready, message
        if not ready:
            self._host.emit(InstanceNotReady(self._place.namespace, self._place.instance, message))
        self._changed()

    async def _watch_life(self, probe: Probe, around: Surroundings, process: Process) -> None:
        async def failed(passed: bool, message: str) -> None:
            if not passed:
                self._fault = f"the liveness probe failed: {message}"
                self.ready, self.message = False, self._fault
                self._changed()
                await process.stop(self._workload.grace)

        await probes.watch(probe, around, Tally(probe.rule, passed=True), failed)

    def _command(self) -> Command:
        spec, place = self._workload.spec, self._place
        line = [expand(word, self.env) for word in spec.command]
        return Command(line, self.env, spec.working_dir, place.netns, place.resolv_conf)

    def _environment(self) -> dict[str, str]:
        declared = [(variable.name, variable.value) for variable in self._workload.spec.env]
        outbound = self._host.capture.outbound(self._place)
        return environment(self._host.env, self._place, self._host.services(), outbound, declared)

    def _last_words(self, end: Exit, tail: list[str]) -> str:
        last = next((line.strip() for line in reversed(tail) if line.strip()), "")
        return str(end) if end.complaint or not last else f"{end}: {last}"
