"""What to do when Envoy rejects what was compiled: find whose resource it was, and put its last good generation back.

A proxy that rejects a configuration goes on with the one before. If the users' resource stayed in force in the model, a
new proxy would get only the bad configuration and never start, and no later change of its neighbours in the same route
configuration could go out. So the resource as it is now is set aside, for every proxy, until it is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.resources.key import Key
from mizzen.resources.paths import join
from mizzen.resources.problems import Position, Problem
from mizzen.resources.resource import Resource
from mizzen.xds.facts import address_taken
from mizzen.xds.status import Rejection

# What Envoy quotes in its messages: names, expressions, values. Shorter ones stand in too many files to tell anything.
_QUOTED = re.compile(r"'([^']{3,})'|\"([^\"]{3,})\"")


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

    def position(self, resource: Resource[Any]) -> Position:
        """Returns where in the resource as it is written the field stands that Envoy quotes, else where its spec does."""
        return resource.source.position(next(_quoted_in(resource, self.message), "spec"))


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
    quoted = [first or second for first, second in _QUOTED.findall(message)]
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
