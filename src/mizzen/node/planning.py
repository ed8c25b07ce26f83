"""Which instances to start and which to stop, so that what runs becomes what should run. Pure.

A workload is replaced as by a Kubernetes Deployment with maxSurge 1 and maxUnavailable 0: one new instance at a time,
and no old one goes before a new one is ready and announced to every proxy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mizzen.node.specs import Revision

Key = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    revision: Revision
    replicas: int


@dataclass(frozen=True)
class Running:
    """An instance that there is, ready or not. ``workload`` is namespace and name."""

    workload: Key
    name: str
    revision: Revision
    announced: bool = False
    leaving: bool = False


@dataclass(frozen=True)
class Start:
    workload: Key
    name: str


@dataclass(frozen=True)
class Stop:
    workload: Key
    name: str


def plan(wanted: Mapping[Key, Wanted], running: Sequence[Running]) -> list[Start | Stop]:
    """Returns what to do now; asked again after each change it converges."""
    actions: list[Start | Stop] = []
    for workload in sorted({*wanted, *(instance.workload for instance in running)}):
        mine = [instance for instance in running if instance.workload == workload]
        actions += _plan_workload(workload, wanted.get(workload), mine)
    return actions


def _plan_workload(workload: Key, wanted: Wanted | None, mine: list[Running]) -> Iterator[Start | Stop]:
    live = [instance for instance in mine if not instance.leaving]
    if wanted is None:
        yield from (Stop(workload, instance.name) for instance in live)
        return
    current = [instance for instance in live if instance.revision == wanted.revision]
    old = [instance for instance in live if instance.revision != wanted.revision]
    going = _too_many(current, wanted.replicas) + _replaced(current, old, wanted.replicas)
    yield from (Stop(workload, instance.name) for instance in going)

    missing = wanted.replicas - len(current)
    serving = [instance for instance in old if instance.announced and instance not in going]
    if serving:
        # Those that still leave have their place until they are gone: replacing goes one by one.
        leaving = sum(instance.leaving for instance in mine) + sum(instance.announced for instance in going)
        missing = min(missing, wanted.replicas + 1 - len(current) - len(serving) - leaving)
    names = free_names(workload[1], {instance.name for instance in mine})
    yield from (Start(workload, next(names)) for _ in range(missing))


def _too_many(current: list[Running], replicas: int) -> list[Running]:
    """Those above the number of replicas: first the ones that serve nobody, then the ones with the highest numbers."""
    ordered = sorted(current, key=lambda instance: (instance.announced, -number(instance.name)))
    return ordered[: max(len(current) - replicas, 0)]


def _replaced(current: list[Running], old: list[Running], replicas: int) -> list[Running]:
    """The old ones that can go: those that serve nobody, and as many as there are announced instances to spare."""
    idle = [instance for instance in old if not instance.announced]
    serving = sorted((instance for instance in old if instance.announced), key=lambda instance: number(instance.name))
    spare = sum(instance.announced for instance in current) + len(serving) - replicas
    return idle + serving[: max(spare, 0)]


def free_names(workload: str, taken: set[str]) -> Iterator[str]:
    """Yields the names that new instances of a workload get: ``<workload>-<n>`` with the lowest free numbers."""
    candidate = 0
    while True:
        name = f"{workload}-{candidate}"
        if name not in taken:
            yield name
        candidate += 1


def number(instance: str) -> int:
    return int(instance.rpartition("-")[2])
