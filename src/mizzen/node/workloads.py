"""Makes what runs on this node become what should run: the shell around planning.py.

It has one task for each instance, and plans anew whenever the desired state or an instance has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mizzen.node import specs
from mizzen.node.events import Event, WorkloadInvalid
from mizzen.node.instances import InstanceRunner
from mizzen.node.planning import Key, Running, Start, Wanted, plan
from mizzen.node.specs import SpecError, Workload
from mizzen.registry.reports import DesiredWorkload

MakeRunner = Callable[[Workload, str, Callable[[], None]], InstanceRunner]


class Workloads:
    """``make_runner`` makes an instance of a workload by name; the function that it is given is called on changes.

    ``settled`` is set as soon as all that should run is ready and announced, for the first time.
    """

    def __init__(self, make_runner: MakeRunner, emit: Callable[[Event], None]) -> None:
        self._make_runner = make_runner
        self._emit = emit
        self._wanted: dict[Key, Workload] = {}
        self._runners: dict[Key, InstanceRunner] = {}
        self._stopping = False
        self._wake = asyncio.Event()
        self.settled = asyncio.Event()

    @property
    def count(self) -> int:
        """How many instances there are."""
        return len(self._runners)

    def take(self, desired: Sequence[DesiredWorkload]) -> None:
        """Takes all that should run. A workload that cannot be read stays as it is, and is told of."""
        if self._stopping:
            return
        wanted: dict[Key, Workload] = {}
        for item in desired:
            key = (item.namespace, item.name)
            try:
                wanted[key] = specs.read(item)
            except SpecError as error:
                self._emit(WorkloadInvalid(item.namespace, item.name, str(error)))
                if key in self._wanted:
                    wanted[key] = self._wanted[key]
        self._wanted = wanted
        self._wake.set()

    def refresh(self) -> None:
        """Has all instances reported anew, as the services that they may call have changed."""
        for runner in self._runners.values():
            runner.refresh()

    def stop(self) -> None:
        """Stops all instances in good order; :meth:`run` returns when the last has ended."""
        self._stopping = True
        self._wanted = {}
        self._wake.set()

    async def run(self) -> None:
        """Runs until :meth:`stop`. Cancelled, it ends all instances at once. Raises what instances raise, grouped."""
        async with asyncio.TaskGroup() as group:
            while not (self._stopping and not self._runners):
                await self._wake.wait()
                self._wake.clear()
                self._act(group)

    def _act(self, group: asyncio.TaskGroup) -> None:
        self._tell_runners()
        wanted = {key: Wanted(workload.revision, workload.spec.replicas) for key, workload in self._wanted.items()}
        for action in plan(wanted, [_running(runner) for runner in self._runners.values()]):
            namespace, _ = action.workload
            if isinstance(action, Start):
                runner = self._make_runner(self._wanted[action.workload], action.name, self._wake.set)
                self._runners[namespace, action.name] = runner
                group.create_task(self._run(runner), name=f"instance {action.name}.{namespace}")
            else:
                self._runners[namespace, action.name].stop()
        if not self._stopping and self._is_settled(wanted):
            self.settled.set()

    def _tell_runners(self) -> None:
        for runner in self._runners.values():
            workload = self._wanted.get(runner.workload.key)
            if workload and workload is not runner.workload and workload.revision == runner.workload.revision:
                runner.adopt(workload)

    async def _run(self, runner: InstanceRunner) -> None:
        try:
            await runner.run()
        finally:
            del self._runners[runner.workload.namespace, runner.name]
            self._wake.set()

    def _is_settled(self, wanted: dict[Key, Wanted]) -> bool:
        running = [_running(runner) for runner in self._runners.values()]
        serving = [instance for instance in running if instance.announced and not instance.leaving]
        return not plan(wanted, running) and len(serving) == sum(item.replicas for item in wanted.values())


def _running(runner: InstanceRunner) -> Running:
    return Running(
        workload=runner.workload.key,
        name=runner.name,
        revision=runner.workload.revision,
        announced=runner.announced,
        leaving=runner.leaving,
    )
