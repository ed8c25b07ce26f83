"""The single writer: collects what changes, builds the next snapshot, publishes it.

Inputs are level-triggered (each replaces the last of its kind) and numbered. After an input the world waits for a short
quiet time, and never longer than a maximum, then builds once for all that came. Whoever wrote an input can wait for the
publication that contains it; a publication that says the same as the one before keeps its version.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from mizzen.control.attachments import Attachments
from mizzen.control.rejections import Rejections, SetAside
from mizzen.control.remembering import Memory
from mizzen.control.views import Inputs, Running, build_desired, build_snapshot, hosts_of, running
from mizzen.latest import Latest
from mizzen.mesh.model import Snapshot
from mizzen.registry.addresses import allocate
from mizzen.registry.found import of_ended_runs
from mizzen.registry.reports import Desired, Report
from mizzen.registry.unwritten import found_services, found_workloads
from mizzen.resources.key import Key
from mizzen.resources.problems import Problem, errors
from mizzen.resources.references import check_references
from mizzen.resources.resource import Resource
from mizzen.store.contents import Contents
from mizzen.store.stores import Stores
from mizzen.xds.status import Rejection

log = structlog.get_logger(__name__)

_QUIET = 0.002
_LONGEST = 0.1


@dataclass(frozen=True)
class Published:
    """What the world made of its inputs up to number ``inputs``; ``found`` are services that nobody
    wrote, ``members`` what runs and nobody wrote as a Workload (:mod:`mizzen.registry.unwritten`).
    """

    inputs: int
    contents: Contents
    found: Mapping[Key, Resource[Any]]
    members: Mapping[Key, Resource[Any]]
    snapshot: Snapshot
    desired: Desired
    report: Report | None
    set_aside: Mapping[Key, SetAside]
    problems: tuple[Problem, ...]


class World:
    """Owns the state of the mesh. Nothing is published before a node has said what runs: a control plane that has just
    started must not tell proxies that all endpoints are gone.
    """

    def __init__(self, stores: Stores, trust_domain: str, *, all_containers: bool = False) -> None:
        self.published: Latest[Published | None] = Latest(None)
        self._stores = stores
        self._trust_domain = trust_domain
        self._contents = stores.contents
        self._report: Report | None = None
        self._addresses: dict[str, str] = {}
        self._restarts: dict[tuple[str, str], int] = {}
        self._attachments = Attachments(all_containers=all_containers)
        self._look = 0
        self._dismissed: frozenset[tuple[str, str]] = frozenset()
        self._rejections = Rejections(stores.previous)
        self._memory = Memory(stores, self._touch)
        self._running: Running | None = None
        # All that resources may refer to, as it was last checked, and what was wrong with it.
        self._checked: tuple[Contents | None, tuple[Any, ...], tuple[Problem, ...]] = (None, (), ())
        self._version = 0
        self._inputs = 0
        self._dirty = asyncio.Event()

    @classmethod
    async def open(cls, stores: Stores, trust_domain: str, *, all_containers: bool = False) -> World:
        """Makes the world from what an earlier control plane left in the stores. Raises StoreError.

        ``all_containers`` makes all containers members of the mesh that no attachment keeps outside.
        """
        world = cls(stores, trust_domain, all_containers=all_containers)
        remembered = await world._memory.recall()
        world._version = int(remembered.get("snapshot") or 0)
        world._addresses = dict(remembered.get("addresses") or {})
        world._restarts = {(namespace, name): int(count) for namespace, name, count in remembered.get("restarts") or ()}
        proxies, version = remembered.get("attachments") or ({}, 0)
        world._attachments = Attachments(proxies, version, all_containers)
        await world._rejections.restore(remembered)
        return world

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever published from this state directory."""
        return self._version == 0

    async def run(self) -> None:
        """Publishes for ever. Run it in a TaskGroup."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_stores(), name="world: stores")
            tasks.create_task(self._publish(), name="world: publish")
            tasks.create_task(self._memory.keep(self.published, self._remembered), name="world: remember")
            tasks.create_task(self._handle_rejections(), name="world: rejections")

    def put_report(self, report: Report) -> int:
        """Takes what a node runs; returns the number of the input."""
        self._report = report
        # Those that are gone, or that another run offers by now, are settled.
        self._dismissed &= of_ended_runs(report)
        return self._touch()

    def restart(self, namespace: str, name: str) -> int:
        """Asks for a rolling restart of a workload; returns the number of the input."""
        self._restarts[namespace, name] = self._restarts.get((namespace, name), 0) + 1
        return self._touch()

    def attach(self, target: str, proxy: str) -> int:
        """Takes which containers are members of the mesh; returns the version of the attachments with it."""
        known = self._report.containers if self._report else ()
        by_label = any(one.state != "Outside" and not one.by for one in known)
        self._attachments = self._attachments.changed(target, proxy, by_label=by_label)
        self._touch()
        return self._attachments.version

    async def dismiss(self, services: Collection[Key], longest: float) -> Published:
        """Has nodes forget services of runs that have ended; returns the first publication without them.

        Raises TimeoutError where some are still there after ``longest`` seconds: they are offered again.
        """
        self._dismissed |= {(key.namespace, key.name) for key in services}
        self._touch()
        async with asyncio.timeout(longest):
            gone = await self.published.until(lambda now: now is not None and not now.found.keys() & set(services))
        return _known(gone)

    async def seen(self, longest: float) -> Published:
        """Returns the first publication with what nodes see now among containers, or after ``longest`` seconds the last."""
        # Greater than any number of an earlier control plane, whose answers a node may still have.
        self._look = number = max(self._look + 1, time.time_ns() // 1_000_000)
        self._touch()
        try:
            async with asyncio.timeout(longest):
                await self.published.until(lambda now: bool(now and now.report and now.report.look.number >= number))
        except TimeoutError:
            log.warning("the node has not said in time which containers there are", seconds=longest)
        return await self.included(0)

    def reject(self, rejection: Rejection) -> None:
        """Takes a proxy's rejection; what it is about is set aside soon after."""
        self._rejections.put(rejection)

    async def _handle_rejections(self) -> None:
        while True:
            if await self._rejections.settle_next(self._judged):
                self._touch()

    def _judged(self) -> tuple[Mapping[Key, Resource[Any]], int] | None:
        published = self.published.get()
        return (published.contents.resources, published.snapshot.version) if published else None

    async def rejections(self) -> Published:
        """Returns the first publication in which every rejection that came before is dealt with."""
        await self._rejections.settled()
        return await self.included(self._inputs)

    async def included(self, number: int) -> Published:
        """Returns the first publication that contains the input of this number."""
        published = await self.published.until(lambda value: value is not None and value.inputs >= number)
        return _known(published)

    async def stored(self, version: int) -> Published:
        """Returns the first publication that contains this version of the stores."""
        published = await self.published.until(lambda value: value is not None and value.contents.version >= version)
        return _known(published)

    def _touch(self) -> int:
        self._inputs += 1
        self._dirty.set()
        return self._inputs

    async def _follow_stores(self) -> None:
        async for contents in self._stores.watch():
            self._contents = contents
            self._touch()

    async def _publish(self) -> None:
        while True:
            await self._dirty.wait()
            await self._settled()
            if self._report is not None:
                self.published.set(self._build())

    async def _settled(self) -> None:
        """Waits until nothing has come for a short time, or for as long as a change may wait."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        while self._dirty.is_set() and (left := end - loop.time()) > 0:
            self._dirty.clear()
            try:
                async with asyncio.timeout(min(_QUIET, left)):
                    await self._dirty.wait()
            except TimeoutError:
                return
        self._dirty.clear()

    def _build(self) -> Published:
        number = self._inputs
        found = found_services(self._report) if self._report else {}
        members = found_workloads(self._report, self._contents.resources) if self._report else {}
        written = {**found, **self._contents.resources}
        effective = self._rejections.in_force(written)
        self._addresses = allocate(self._addresses, hosts_of(effective.values()))
        inputs = Inputs(
            self._trust_domain,
            effective,
            self._report,
            self._addresses,
            self._restarts,
            self._attachments,
            self._look,
            self._dismissed,
            str(self._stores.secrets),
        )
        before = self.published.get()
        self._running = running(inputs, self._running)
        snapshot = build_snapshot(inputs, self._version, self._running)
        if before is None or dataclasses.replace(snapshot, version=before.snapshot.version) != before.snapshot:
            self._version += 1
            snapshot = dataclasses.replace(snapshot, version=self._version)
        else:
            snapshot = before.snapshot
        self._rejections.note_changes(before.contents.resources if before else {}, written, self._version)
        unwritten = found.keys() - self._contents.resources.keys()
        rejected = [aside.problem(written[key]) for key, aside in self._rejections.standing.items()]
        problems = (
            *self._memory.problems,
            *self._contents.problems,
            *(one for one in self._references(found, members) if one.resource not in unwritten),
            *rejected,
        )
        return Published(
            inputs=number,
            contents=self._contents,
            found={key: one for key, one in found.items() if key in unwritten},
            members=members,
            snapshot=snapshot,
            desired=build_desired(inputs, snapshot, errors(problems), self._contents),
            report=self._report,
            set_aside=self._rejections.standing,
            problems=problems,
        )

    def _references(
        self, found: Mapping[Key, Resource[Any]], members: Mapping[Key, Resource[Any]]
    ) -> tuple[Problem, ...]:
        """Returns what is wrong among all that there is; a report that brings nothing new has them as before."""
        contents, basis, problems = self._checked
        if contents is not self._contents or basis != (found, members):
            every = {**members, **found, **self._contents.resources}
            problems = tuple(check_references(every.values()))
            self._checked = (self._contents, (found, members), problems)
        return problems

    def _remembered(self) -> dict[str, Any]:
        """Returns what the next control plane must know, as JSON has it: nothing before anything is published."""
        published = self.published.get()
        if published is None:
            return {}
        return {
            "snapshot": published.snapshot.version,
            "addresses": self._addresses,
            "restarts": [[namespace, name, count] for (namespace, name), count in self._restarts.items()],
            "attachments": [dict(self._attachments.proxies), self._attachments.version],
            **self._rejections.remembered(),
        }


def _known(published: Published | None) -> Published:
    if published is None:  # `until` was asked for one
        raise RuntimeError("nothing is published")
    return published
