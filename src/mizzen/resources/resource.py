"""A resource: what a user wrote, checked, with where it was written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

from pydantic import BaseModel

from mizzen.resources.key import Key
from mizzen.resources.problems import Level, Position, Problem

SpecT = TypeVar("SpecT", bound=BaseModel, covariant=True)


@dataclass(frozen=True)
class Source:
    """Where a resource was written: its file, the line where its document begins, its text, its fields' positions."""

    file: str
    line: int
    text: str = field(repr=False)
    positions: Mapping[str, Position] = field(default_factory=dict, repr=False)

    def position(self, path: str = "") -> Position:
        """Returns the place of a field (``spec.http[0].timeout``), or of the nearest of its parents that is written."""
        while path and path not in self.positions:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.positions.get(path, Position(self.file, self.line))


@dataclass(frozen=True)
class Resource(Generic[SpecT]):
    """One resource of a user.

    Two resources are equal when they say the same (``digest``, over kind, metadata and spec), have the same identity
    and the same age: where they were written does not count, so a moved line changes no proxy.

    ``created`` orders resources by age ("oldest wins" in Istio): a store stamps it, smaller is older; ties go by name
    and namespace. ``parts`` are other resources of which something was put into this one. ``private`` are keys that were
    written in it: they are kept apart, and nothing shows them (:mod:`mizzen.resources.secret`).
    """

    key: Key
    api_version: str
    digest: str
    spec: SpecT = field(compare=False)
    labels: Mapping[str, str] = field(compare=False, default_factory=dict)
    annotations: Mapping[str, str] = field(compare=False, default_factory=dict)
    created: int = 0
    source: Source = field(compare=False, default=Source("", 0, ""))
    parts: tuple[Key, ...] = field(compare=False, default=())
    private: Mapping[str, str] = field(compare=False, repr=False, default_factory=dict)

    @property
    def origins(self) -> tuple[Key, ...]:
        """The resources that say what this one says."""
        return (self.key, *self.parts)

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @cached_property
    def age(self) -> tuple[int, str, str]:
        """The order in which Istio processes resources of a kind: by creation, then name, then namespace."""
        return (self.created, self.key.name, self.key.namespace)

    def problem(self, code: str, path: str, message: str, hint: str = "", level: Level = Level.ERROR) -> Problem:
        """Returns what is wrong with a field of it, at the place where that is written."""
        return Problem(code, message, level, self.source.position(path), self.key, path, hint)

    def stamped(self, created: int) -> Resource[SpecT]:
        """Returns the same resource with its age as a store knows it."""
        return dataclasses.replace(self, created=created)
