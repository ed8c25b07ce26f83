"""What to do when Envoy rejects what was compiled: find whose resource it was, and put its last good generation back.

A proxy that rejects a configuration goes on with the one before. If the users' resource stayed in force in the model, a
new proxy would get only the bad configuration and never start, and no later change of its neighbours in the same route
configuration could go out. So the resource as it is now is set aside, for every proxy, until it is written anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from mizzen.resources.key import Key
from mizzen.resources.paths import join
from mizzen.resources.problems import Position, Problem
from mizzen.resources.resource import Resource
from mizzen.xds.facts import address_taken
from mizzen.xds.status import Rejection

log = structlog.get_logger(__name__)

_Resources: TypeAlias = Mapping[Key, Resource[Any]]
_Generations: TypeAlias = Callable[[Key], Awaitable[Sequence[Resource[Any]]]]

_KEPT_REFUSED = 50
# What Envoy quotes in its messages: names, expressions, values. Shorter ones stand in too many files to tell anything.
_QUOTED = re.compile(r"'([^']{3,})'|\"([^\"]{3,})\"")
# A script is called by its first line, with dots where it goes on; what else is quoted then are words of it, such as 'end'.
_SCRIPT = re.compile(r'\[string "(.{3,}?)(?:\.\.\.)?"\]')


class Rejections:
    """What is set aside now, and which generations of resources were refused.

    ``generations`` returns what a resource was before, the latest first.
    """

    def __init__(self, generations: _Generations) -> None:
        self.standing: Mapping[Key, SetAside] = {}
        self._generations = generations
        # The digests of all generations of a resource that were refused, for as long as the resource is there.
        self._refused: dict[Key, list[str]] = {}
        # The snapshot's version in which each resource was last written differently.
        self._changed: dict[Key, int] = {}
        self._coming: asyncio.Queue[Rejection] = asyncio.Queue()

    async def restore(self, remembered: Mapping[str, Any]) -> None:
        """Takes what :meth:`remembered` returned in an earlier control plane."""
        self._refused = {Key(*key): list(digests) for key, digests in remembered.get("refused") or ()}
        asides = [SetAside(**{**one, "key": Key(*one["key"])}) for one in remembered.get("set_aside") or ()]
        self.standing = {one.key: dataclasses.replace(one, good=await self._good(one.key)) for one in asides}

    def remembered(self) -> dict[str, Any]:
        """Returns what the next control plane must know, as JSON has it."""
        return {
            "set_aside": [one.remembered() for one in self.standing.values()],
            "refused": [[list(key), digests[-_KEPT_REFUSED:]] for key, digests in self._refused.items()],
        }

    def put(self, rejection: Rejection) -> None:
        """Takes a proxy's rejection; :meth:`settle_next` deals with it."""
        self._coming.put_nowait(rejection)

    async def settled(self) -> None:
        """Returns when every rejection that came before is dealt with."""
        await self._coming.join()

    async def settle_next(self, published: Callable[[], tuple[_Resources, int] | None]) -> bool:
        """Waits for a rejection and sets aside what it is about; returns whether there was anything.

        ``published`` returns the resources as they are written and the snapshot's version, or None before the first.
        """
        rejection = await self._coming.get()
        try:
            now = published()
            if now is None or rejection.superseded:  # what the proxy gets next it will judge by itself
                return False
            return await self._set_culprits_aside(rejection, *now)
        finally:
            self._coming.task_done()

    def note_changes(self, before: _Resources, now: _Resources, version: int) -> None:
        """Takes which resources are written otherwise in this version of the snapshot, and which are gone."""
        for key, resource in now.items():
            if key not in before or before[key].digest != resource.digest:
                self._changed[key] = version
        for key in before.keys() - now.keys():
            self._changed.pop(key, None)
            self._refused.pop(key, None)

    def in_force(self, written: _Resources) -> dict[Key, Resource[Any]]:
        """Returns the resources with rejected generations replaced, and forgets what is written otherwise by now."""
        effective, self.standing = in_force(written, self.standing.values())
        return effective

    async def _set_culprits_aside(self, rejection: Rejection, resources: _Resources, version: int) -> bool:
        found = False
        for resource in culprits(rejection, resources, self._changed):
            refused = self._refused.setdefault(resource.key, [])
            aside = self.standing.get(resource.key)
            if aside and aside.digest == resource.digest:
                if aside.decided >= rejection.snapshot or aside.good is None:
                    continue  # another proxy, or the same of another of its resources, says what is known already
                # What stands in its place is refused as well: the generation before that is next.
                refused.append(aside.good.digest)
            else:
                refused.append(resource.digest)
            made = SetAside(
                key=resource.key,
                digest=resource.digest,
                proxy=rejection.proxy,
                type_url=rejection.type_url,
                xds_resource=rejection.resource,
                snapshot=rejection.snapshot,
                decided=version,
                message=rejection.message,
                good=await self._good(resource.key),
            )
            self.standing = {**self.standing, resource.key: made}
            log.warning("set aside", resource=str(resource.key), proxy=rejection.proxy, envoy=rejection.message)
            found = True
        return found

    async def _good(self, key: Key) -> Resource[Any] | None:
        """Returns the latest generation of a resource that no proxy has refused."""
        refused = self._refused.get(key, ())
        return next((one for one in await self._generations(key) if one.digest not in refused), None)


@dataclass(frozen=True)
class SetAside:
    """A generation of a resource that Envoy rejected.

    ``snapshot`` is the version that it was rejected in, ``decided`` the one in force when it was set aside; ``good`` is
    the generation in force instead, or None if there is none.
    """

    key: Key
    digest: str
    proxy: str
    type_url: str
    xds_resource: str
    message: str
    snapshot: int = 0
    decided: int = 0
    good: Resource[Any] | None = None

    def problem(self, resource: Resource[Any]) -> Problem:
        """Returns the rejection as a problem of the resource as it is written."""
        return Problem(
            code="RejectedByEnvoy",
            message=f"Envoy of {self.proxy} rejected {self.xds_resource}: {self.message}",
            position=self.position(resource),
            resource=self.key,
            hint="the configuration from before stays in force; correct the resource and apply it again",
        )

    def remembered(self) -> dict[str, Any]:
        """Returns it as JSON has it, without what is in force instead, which the store knows."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "good"}
        return fields | {"key": list(self.key)}

    def position(self, resource: Resource[Any]) -> Position:
        """Returns where in the resource as it is written the field stands that Envoy quotes, else where its spec does; of an
        EnvoyFilter with one patch, that.
        """
        patches = getattr(resource.spec, "config_patches", ())
        otherwise = "spec.configPatches[0].patch" if len(patches) == 1 else "spec"
        return resource.source.position(next(_quoted_in(resource, self.message), otherwise))


def culprits(
    rejection: Rejection, resources: Mapping[Key, Resource[Any]], changed: Mapping[Key, int]
) -> list[Resource[Any]]:
    """Returns the users' resources that a rejection is about, most likely one.

    ``changed`` is the snapshot version in which each resource was last written differently. Of the resources that
    shaped what was rejected, those count that changed last or that the proxy has not accepted before; of these, those
    that hold what Envoy quotes; and if none does, those for which most speaks.
    """
    if address_taken(rejection.message):
        return []  # the machine's fault
    shaped = [resources[key] for key in rejection.origins if key in resources]
    latest = max((changed.get(resource.key, 0) for resource in shaped), default=0)
    added = [resource for resource in shaped if resource.key not in rejection.accepted_origins]
    recent = [resource for resource in shaped if changed.get(resource.key, 0) == latest]
    quoted = [resource for resource in shaped if any(_quoted_in(resource, rejection.message))]
    both = [resource for resource in recent if resource in added]
    candidates = ([one for one in quoted if one in recent or one in added], both, recent, added)
    return next((found for found in candidates if found), [])


def _quoted_in(resource: Resource[Any], message: str) -> Iterator[str]:
    """Yields the paths of the resource's fields that hold something that Envoy quotes."""
    quoted = _SCRIPT.findall(message) or [first or second for first, second in _QUOTED.findall(message)]
    for path, text in _texts("spec", resource.spec.to_document()):
        if any(part in text for part in quoted):
            yield path


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yields all texts within a document, names of fields included, with their paths."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield join(path, key), key
            yield from _texts(join(path, key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(join(path, index), inner)


def in_force(
    resources: Mapping[Key, Resource[Any]], set_aside: Iterable[SetAside]
) -> tuple[dict[Key, Resource[Any]], dict[Key, SetAside]]:
    """Returns the resources with rejected generations replaced, and the rejections that still stand.

    A rejection stands as long as its resource is written as it was.
    """
    effective = dict(resources)
    standing = {}
    for aside in set_aside:
        written = resources.get(aside.key)
        if written is None or written.digest != aside.digest:
            continue
        standing[aside.key] = aside
        if aside.good is None:
            del effective[aside.key]
        else:
            effective[aside.key] = aside.good
    return effective, standing
