"""Changes that users ask for: checked as a whole, then stored as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.control.world import World
from mizzen.resources import load
from mizzen.resources.key import Key
from mizzen.resources.problems import Problem, errors
from mizzen.resources.references import check_references
from mizzen.resources.resource import Resource
from mizzen.store.history import Action
from mizzen.store.stores import Stores


@dataclass(frozen=True)
class Changed:
    """What a change did: the snapshot version in which it takes effect, what became of each resource, and warnings."""

    version: int
    actions: Mapping[Key, Action]
    warnings: tuple[Problem, ...] = ()


class RefusedError(Exception):
    """A change that was not made, and why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def read(files: Sequence[tuple[str, str]]) -> tuple[list[Resource[Any]], list[Problem]]:
    """Reads named texts; a resource that is written twice among them is a problem."""
    resources: dict[Key, Resource[Any]] = {}
    problems: list[Problem] = []
    for name, text in files:
        loaded = load(text, name)
        problems += loaded.problems
        for resource in loaded.resources:
            if first := resources.get(resource.key):
                problems.append(_twice(first, resource))
            resources.setdefault(resource.key, resource)
    return list(resources.values()), problems


def _twice(first: Resource[Any], second: Resource[Any]) -> Problem:
    return Problem(
        code="DuplicateResource",
        message=f"is also written in {first.source.position()}",
        position=second.source.position(),
        resource=second.key,
        hint="keep one of them",
    )


def new_problems(before: Mapping[Key, Resource[Any]], after: Mapping[Key, Resource[Any]]) -> list[Problem]:
    """Returns what is wrong among the resources after a change and was not before."""
    known = set(check_references(before.values()))
    return [problem for problem in check_references(after.values()) if problem not in known]


class Changes:
    """Applies and deletes resources."""

    def __init__(self, stores: Stores, world: World) -> None:
        self._stores = stores
        self._world = world

    async def apply(self, files: Sequence[tuple[str, str]], *, dry_run: bool = False) -> Changed:
        """Applies all resources in the texts, or none. Raises :class:`RefusedError` and StoreError."""
        resources, problems = read(files)
        if not resources and not errors(problems):
            problems.append(Problem(code="NothingToApply", message="there are no resources in what was given"))
        before = self._stores.contents.resources
        after = {**before, **{resource.key: resource for resource in resources}}
        # Among problems of the whole, mistakes in what was read come first: they may be the cause of the others.
        problems += [] if errors(problems) else new_problems(before, after)
        if errors(problems):
            raise RefusedError(problems)
        outcome = await self._stores.change(apply=resources, dry_run=dry_run)
        return Changed(await self._in_effect(outcome.version), outcome.actions, tuple(problems))

    async def delete(self, keys: Sequence[Key]) -> Changed:
        """Deletes all of the resources, or none; what that leaves dangling is a warning. Raises StoreError."""
        before = self._stores.contents.resources
        outcome = await self._stores.change(delete=keys)
        after = self._stores.contents.resources
        return Changed(await self._in_effect(outcome.version), outcome.actions, tuple(new_problems(before, after)))

    async def _in_effect(self, stored: int) -> int:
        return (await self._world.stored(stored)).snapshot.version
