"""Makes those containers members of the mesh that should be: the part of ``containers.py`` that needs Linux and root.

    engine ──▶ all containers ──▶ survey (names, ports, services) ──▶ reported
                                     │
    attachments ─────────────────────┴──▶ an InstanceRunner for each member that runs

A container that stays outside is reported as well, without a proxy: members call it as they did before, in plaintext.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mizzen.mesh.localities import Locality
from mizzen.node.attached import ContainerRuntime, workload_of
from mizzen.node.beginnings import Beginnings
from mizzen.node.capture.attaching import Attachments, clean_up_foreign
from mizzen.node.capturing import CaptureError
from mizzen.node.containers import MakeRunner
from mizzen.node.engine.hooks import Beginning
from mizzen.node.engine.watching import ContainerWatch
from mizzen.node.events import ContainerProblem
from mizzen.node.host import Host
from mizzen.node.instances import InstanceRunner
from mizzen.registry.container_services import Survey
from mizzen.registry.containers import Container, Described, Excluded, state_of
from mizzen.registry.membership import Membership, Run, run_of
from mizzen.registry.reports import Attachment, ContainerState, FoundService, Instance


@dataclass
class _Member:
    described: Described
    proxy: str
    runner: InstanceRunner


class Members:
    """``watch`` knows all containers, ``capture`` attaches network namespaces, ``make_runner`` makes what runs an instance.

    ``settled`` is set when all that should be members are, as far as they can, for the first time.
    """

    def __init__(
        self,
        host: Host,
        watch: ContainerWatch,
        capture: Attachments,
        make_runner: MakeRunner,
        settled: asyncio.Event,
    ) -> None:
        self._host = host
        self._watch = watch
        self._capture = capture
        self._make_runner = make_runner
        self._settled = settled
        self._attachments: tuple[Attachment, ...] = ()
        self._version = 0
        self._members: dict[Run, _Member] = {}
        self._wanted_runs: frozenset[Run] = frozenset()
        self._outside: set[tuple[str, str]] = set()
        self._problems: tuple[str, ...] = ()
        self._membership = Membership.of({}, ())
        self._cleaned_up = False
        self._stopping = False
        self._wake = asyncio.Event()
        self._beginnings = Beginnings(watch, capture, self._wake.set)
        watch.on_end = self._has_ended

    @property
    def count(self) -> int:
        """How many containers are attached."""
        return sum(one.runner.settled for one in self._members.values())

    def take(self, attachments: Sequence[Attachment], version: int) -> None:
        """Takes which containers are members of the mesh."""
        self._attachments, self._version = tuple(attachments), version
        self._wake.set()

    async def begin(self, beginning: Beginning) -> None:
        """Takes a container that is about to start; see :class:`Beginnings`."""
        if not self._stopping:
            await self._beginnings.take(beginning, self._attachments)

    def stop(self) -> None:
        """Detaches all; :meth:`run` returns when the last is detached."""
        self._stopping = True
        self._wake.set()

    async def run(self, hooks: contextlib.AbstractAsyncContextManager[object]) -> None:
        """Runs until :meth:`stop`; cancelled, it leaves all network namespaces as they were. ``hooks`` call :meth:`begin`."""
        async with self._capture, hooks, asyncio.TaskGroup() as group:
            watch = self._watch
            tasks = [group.create_task(part) for part in (watch.run(), self._follow(watch), self._listen(watch))]
            while not (self._stopping and not self._members):
                self._act(group, watch.containers.get())
                await self._beginnings.let_go(watch.containers.get() or {}, self._wanted_runs)
                await self._wake.wait()
                self._wake.clear()
            for task in tasks:
                task.cancel()

    def _has_ended(self, container: str) -> None:
        """Stops an instance in the very moment in which its container has ended, see :meth:`InstanceRunner.stop_gone`."""
        for run, member in self._members.items():
            if run[0] == container:
                member.runner.stop_gone()

    async def _follow(self, watch: ContainerWatch) -> None:
        async for _ in watch.containers:
            self._wake.set()

    async def _listen(self, watch: ContainerWatch) -> None:
        async for _ in watch.trouble:
            self._wake.set()

    def _act(self, group: asyncio.TaskGroup, containers: Mapping[str, Container] | None) -> None:
        """Starts and stops instances so that the members are those that should be, and reports what is."""
        if containers is None:
            self._tell_problems()
            return
        # Most calls are for a member that has got ahead. What changes is another object than before.
        if self._membership.containers is not containers or self._membership.attachments is not self._attachments:
            self._membership = Membership.of(containers, self._attachments)
        surveyed = self._membership.survey
        wanted = {} if self._stopping else self._membership.wanted()
        self._wanted_runs = frozenset(wanted)
        if not self._cleaned_up:
            self._cleaned_up = True
            left = [one for one in containers.values() if one.pid and run_of(one) not in wanted]
            group.create_task(_clean_up(left), name="clean up")
        for run, member in self._members.items():
            if run not in wanted:
                member.runner.stop_gone() if _gone(run, containers) else member.runner.stop()
            else:
                self._adopt(member, wanted[run])
        taken = {(one.described.namespace, one.described.name) for one in self._members.values()}
        for run, described in wanted.items():
            # A container that was started again has to wait until its earlier run has left.
            if run not in self._members and (described.namespace, described.name) not in taken:
                self._start(group, run, described)
        self._tell(surveyed, containers)

    def _adopt(self, member: _Member, described: Described) -> None:
        proxy = self._membership.proxy_of(described)
        if (described, proxy) != (member.described, member.proxy):
            member.described, member.proxy = described, proxy
            member.runner.adopt(workload_of(described, proxy))

    def _start(self, group: asyncio.TaskGroup, run: Run, described: Described) -> None:
        runtime = ContainerRuntime(self._host, self._capture, self._watch, described)
        proxy = self._membership.proxy_of(described)
        workload = workload_of(described, proxy)
        runner = self._make_runner(self._host, workload, described.name, self._wake.set, runtime)
        self._outside.discard((described.namespace, described.name))
        self._members[run] = _Member(described, proxy, runner)
        group.create_task(self._run(run, runner), name=f"container {described.name}")

    async def _run(self, run: Run, runner: InstanceRunner) -> None:
        try:
            await runner.run()
        finally:
            member = self._members.pop(run)
            if runner.goes_on:  # as an outsider, which it has reported already
                self._outside.add((member.described.namespace, member.described.name))
            self._wake.set()

    # --- what is told

    def _tell(self, surveyed: Survey, containers: Mapping[str, Container]) -> None:
        self._tell_outsiders(surveyed)
        self._tell_problems((*surveyed.problems, *self._elsewhere()))
        self._host.board.tell(
            services=_services(surveyed),
            containers=(states := self._states(surveyed, containers)),
            attachments_version=self._version,
        )
        if not any(one.state == "Attaching" for one in states):
            self._settled.set()

    def _states(self, surveyed: Survey, containers: Mapping[str, Container]) -> tuple[ContainerState, ...]:
        alive = sorted((one for one in containers.values() if one.alive), key=lambda one: one.name)
        return tuple(self._state(container, surveyed) for container in alive)

    def _tell_outsiders(self, surveyed: Survey) -> None:
        """Reports those who run without a proxy, and that those are gone who do no longer."""
        members = {(one.described.namespace, one.described.name) for one in self._members.values()}
        outside = {
            (one.namespace, one.name): _outsider(one, self._host.locality(one.labels))
            for one in surveyed.containers.values()
            if isinstance(one, Described) and one.container.pid and one.address
        }
        outside = {} if self._stopping else {key: one for key, one in outside.items() if key not in members}
        for key in self._outside - outside.keys() - members:
            self._host.board.remove(*key)
        for one in outside.values():
            self._host.board.put(one)
        self._outside = set(outside)

    def _state(self, container: Container, surveyed: Survey) -> ContainerState:
        stand = surveyed.containers[container.id]
        return msgspec.structs.replace(
            state_of(stand, *self._standing(container, stand)),
            proxy=self._proxy(stand) if isinstance(stand, Described) else "",
            by=self._membership.decisions[container.id].target,
            warnings=surveyed.found.clashes_of(container.id),
        )

    def _proxy(self, described: Described) -> str:
        if self._membership.is_outside(described.container):
            return ""
        return self._membership.proxy_of(described) or self._host.settings.proxy

    def _standing(self, container: Container, stand: Described | Excluded) -> tuple[str, str]:
        member = self._members.get(run_of(container))
        if member and run_of(container) not in self._wanted_runs:
            return "Detaching", ""
        if member and member.runner.taken_by:
            return "Refused", member.runner.message
        if member:
            is_attached = member.runner.settled and not member.runner.leaving
            return ("Attached" if is_attached else "Attaching"), member.runner.message
        if self._membership.is_outside(container):
            return "Outside", stand.reason if isinstance(stand, Excluded) else ""
        if isinstance(stand, Excluded):
            return "Refused", stand.reason
        return ("Attaching", "") if container.pid else ("Outside", stand.reason)

    def _elsewhere(self) -> list[str]:
        """Says once for each other mesh that it has some of this one's members, however many those are."""
        meshes = {member.runner.taken_by for member in self._members.values()} - {""}
        return [
            f"containers are members of mesh {mesh} already, and are taken in when they have left that; see: mizzen"
            " containers"
            for mesh in sorted(meshes)
        ]

    def _tell_problems(self, of_containers: Sequence[str] = ()) -> None:
        """Tells each problem when it appears; those ``of_containers`` stand in their states, too."""
        trouble = self._watch.trouble.get()
        general = (trouble,) if trouble else ()
        problems = (*general, *of_containers)
        for problem in problems:
            if problem not in self._problems:
                self._host.emit(ContainerProblem(problem))
        self._problems = problems
        self._host.board.tell(problems=general)


def _services(surveyed: Survey) -> tuple[FoundService, ...]:
    aliases = surveyed.found.aliases
    return tuple(
        msgspec.structs.replace(one, aliases=aliases.get((one.namespace, one.name), ()))
        for one in surveyed.found.services
    )


async def _clean_up(outsiders: Sequence[Container]) -> None:
    """Removes the rules of a mesh that was killed from the networks of those that are no members now."""
    for one in outsiders:
        with contextlib.suppress(CaptureError):  # It has no network of its own, or has ended.
            await clean_up_foreign(one.netns)


def _gone(run: Run, containers: Mapping[str, Container]) -> bool:
    """Tells whether that run of the container has ended."""
    container = containers.get(run[0])
    return container is None or not container.pid or run_of(container) != run


def _outsider(described: Described, locality: Locality) -> Instance:
    return Instance(
        name=described.name,
        namespace=described.namespace,
        workload=described.workload,
        digest=described.container.id[:12],
        phase="Running",
        labels=dict(described.labels),
        service_account=described.service_account,
        ready=described.ready,
        message=described.reason,
        address=described.address,
        capture="none",
        ports=described.ports,
        pid=described.container.pid,
        started=described.container.started_at,
        locality=str(locality),
    )
