"""Changes that users ask for: checked as a whole, then stored as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mizzen.control.unreadable_files import unreadable_files
from mizzen.control.world import World
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.key import Key
from mizzen.resources.loading import load_texts
from mizzen.resources.problems import Level, Problem, errors
from mizzen.resources.proxy_config import ProxyConfigSpec
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


# Of others nobody asks: to know it, all proxies are compiled.
_MAY_BE_IDLE = (EnvoyFilterSpec, ProxyConfigSpec)
# How long a node may take to forget a service, in seconds.
_LONGEST = 5.0


class RefusedError(Exception):
    """A change that was not made, and why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def _still_needed() -> Problem:
    return Problem(
        code="StillNeeded",
        message="nothing was deleted: resources that stay need what should go",
        hint="delete or change them first or in the same command, or repeat it with --force",
    )


def _may_be_forced() -> Problem:
    return Problem(
        code="Refused",
        message="nothing was applied: it does not go with what is there, or has no effect",
        hint="correct it, apply what it needs in the same command or before, or repeat it with --force",
    )


def judged(problems: Iterable[Problem], unchanged: Collection[Key], *, force: bool) -> list[Problem]:
    """Returns what is wrong of a change as it counts: with what is in vain as an error, or with ``force`` all as warnings.

    What was in vain in a resource that stays as it was is not held against the change.
    """
    given = list(problems)
    if force:
        return [replace(one, level=Level.WARNING) if one.level is Level.ERROR else one for one in given]
    return [replace(one, level=Level.ERROR) if one.in_vain and one.resource not in unchanged else one for one in given]


def _offered_again(key: Key) -> Problem:
    return Problem(code="ReadOnly", message="it is still there: a run has begun that offers it again", resource=key)


def new_problems(before: Mapping[Key, Resource[Any]], after: Mapping[Key, Resource[Any]]) -> list[Problem]:
    """Returns what is wrong among the resources after a change and was not before.

    What was wrong at the same place of a resource that stays as it was is not new, although other words may be said of it: whom it
    does not go with, or what is meant.
    """
    known = set(check_references(before.values()))
    places = {(one.code, one.resource, one.path) for one in known if _stays(one.resource, before, after)}
    return [
        problem
        for problem in check_references(after.values())
        if problem not in known and (problem.code, problem.resource, problem.path) not in places
    ]


def _stays(key: Key | None, before: Mapping[Key, Resource[Any]], after: Mapping[Key, Resource[Any]]) -> bool:
    return key is not None and key in before and key in after and before[key].digest == after[key].digest


def _aged(resources: Sequence[Resource[Any]], before: Mapping[Key, Resource[Any]]) -> dict[Key, Resource[Any]]:
    """Returns resources by key, as old as a store is going to have them: it is the younger of two that does not go with the other."""
    youngest = max((one.created for one in before.values()), default=0)
    return {
        one.key: one.stamped(before[one.key].created if one.key in before else youngest + number)
        for number, one in enumerate(resources, start=1)
    }


class Changes:
    """Applies and deletes resources."""

    def __init__(self, stores: Stores, world: World, idle: Callable[[], Sequence[Problem]] = tuple) -> None:
        """``idle`` says which of the resources in force change nothing, or not all that they should."""
        self._stores = stores
        self._world = world
        self._idle = idle

    async def apply(
        self,
        files: Sequence[tuple[str, str]],
        *,
        namespace: str = "default",
        dry_run: bool = False,
        force: bool = False,
    ) -> Changed:
        """Applies all resources in the texts, or none. Raises :class:`RefusedError` and StoreError.

        ``namespace`` is for resources that name none. With ``force`` what is right by itself is applied although it does not
        go with other resources, or has no effect; what is wrong then is in the warnings.
        """
        loaded = load_texts(files, default_namespace=namespace)
        resources, problems = loaded.resources, list(loaded.problems)
        if not resources and not errors(problems):
            problems.append(Problem(code="NothingToApply", message="there are no resources in what was given"))
        before = self._known()
        after = {**before, **_aged(resources, before)}
        # Mistakes in what was read come first: they may be the cause of those among resources.
        if errors(problems):
            raise RefusedError(problems)
        unchanged = {one.key for one in resources if one.key in before and before[one.key].digest == one.digest}
        problems = judged([*problems, *new_problems(before, after)], unchanged, force=force)
        if errors(problems):
            raise RefusedError([*problems, _may_be_forced()])
        problems += unreadable_files(resources)
        outcome = await self._stores.change(apply=resources, dry_run=dry_run)
        version = await self._in_effect(outcome.version)
        if not dry_run and any(isinstance(one.spec, _MAY_BE_IDLE) for one in resources):
            problems += [problem for problem in self._idle() if problem.resource in outcome.actions]
        return Changed(version, outcome.actions, tuple(problems))

    async def delete(self, keys: Sequence[Key], *, force: bool = False) -> Changed:
        """Deletes all of the resources, or none, and with them services that nobody wrote and no run offers any more.

        What other resources need is not deleted, unless with ``force``: then what is left dangling is in the warnings.
        Raises :class:`RefusedError` and StoreError.
        """
        before = self._known()
        problems = new_problems(before, {key: one for key, one in before.items() if key not in keys})
        if (needed := errors(problems)) and not force:
            raise RefusedError([*needed, _still_needed()])
        stored = [key for key in keys if key not in self._unwritten()]
        offered = [key for key in keys if key not in stored]
        actions, version = {}, 0
        if stored:
            outcome = await self._stores.change(delete=stored)
            actions, version = {**outcome.actions}, await self._in_effect(outcome.version)
        if offered:
            version = await self._dismissed(offered)
        return Changed(version, actions | dict.fromkeys(offered, Action.DELETED), tuple(problems))

    async def _dismissed(self, services: Sequence[Key]) -> int:
        try:
            return (await self._world.dismiss(services, _LONGEST)).snapshot.version
        except TimeoutError:
            raise RefusedError(_offered_again(key) for key in services if key in self._unwritten()) from None

    def _unwritten(self) -> Mapping[Key, Resource[Any]]:
        published = self._world.published.get()
        return published.found if published else {}

    def _known(self) -> dict[Key, Resource[Any]]:
        """Returns all that resources may refer to: what was written, and what was found."""
        published = self._world.published.get()
        found: Mapping[Key, Resource[Any]] = {**published.members, **published.found} if published else {}
        return {**found, **self._stores.contents.resources}

    async def _in_effect(self, stored: int) -> int:
        return (await self._world.stored(stored)).snapshot.version
