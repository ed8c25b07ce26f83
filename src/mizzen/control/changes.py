"""Changes that users ask for: checked as a whole, then stored as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.control.world import World
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.key import Key
from mizzen.resources.loading import load_texts
from mizzen.resources.problems import Problem, errors
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


def _offered_again(key: Key) -> Problem:
    return Problem(code="ReadOnly", message="it is still there: a run has begun that offers it again", resource=key)


def new_problems(before: Mapping[Key, Resource[Any]], after: Mapping[Key, Resource[Any]]) -> list[Problem]:
    """Returns what is wrong among the resources after a change and was not before."""
    known = set(check_references(before.values()))
    return [problem for problem in check_references(after.values()) if problem not in known]


class Changes:
    """Applies and deletes resources."""

    def __init__(self, stores: Stores, world: World, idle: Callable[[], Sequence[Problem]] = tuple) -> None:
        """``idle`` says which of the resources in force change nothing, or not all that they should."""
        self._stores = stores
        self._world = world
        self._idle = idle

    async def apply(
        self, files: Sequence[tuple[str, str]], *, namespace: str = "default", dry_run: bool = False
    ) -> Changed:
        """Applies all resources in the texts, or none. Raises :class:`RefusedError` and StoreError.

        ``namespace`` is for resources that name none.
        """
        loaded = load_texts(files, default_namespace=namespace)
        resources, problems = loaded.resources, list(loaded.problems)
        if not resources and not errors(problems):
            problems.append(Problem(code="NothingToApply", message="there are no resources in what was given"))
        before = self._known()
        after = {**before, **{resource.key: resource for resource in resources}}
        # Among problems of the whole, mistakes in what was read come first: they may be the cause of the others.
        problems += [] if errors(problems) else new_problems(before, after)
        if errors(problems):
            raise RefusedError(problems)
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
