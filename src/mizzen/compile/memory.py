"""What the compiler remembers: results by the views that they were built from, and values that are as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias, TypeVar
from weakref import WeakValueDictionary

from mizzen.compile.resource import XdsResource

ViewT = TypeVar("ViewT")
ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")
Named: TypeAlias = Mapping[str, XdsResource]
_REMEMBERED = 65536


def remember(build: Callable[[ViewT], ResultT]) -> Callable[[ViewT], ResultT]:
    """Returns a building function with a memory of what it built from which view."""
    remembered: Callable[[ViewT], ResultT] = lru_cache(maxsize=_REMEMBERED)(build)
    return remembered


def remember_in_use(build: Callable[[ViewT], ResultT]) -> Callable[[ViewT], ResultT]:
    """Returns a building function with a memory of what somebody still holds: for results that may be of a megabyte, of which
    each change of a route makes another.
    """
    remembered: WeakValueDictionary[ViewT, ResultT] = WeakValueDictionary()

    def built(view: ViewT) -> ResultT:
        result = remembered.get(view)
        if result is None:
            result = remembered[view] = build(view)
        return result

    return built


def kept(new: ValueT, before: ValueT | None) -> ValueT:
    """Returns the earlier of two equal values: who holds it need not look through the later one."""
    return before if before is not None and new == before else new


def by_name(resources: Iterable[XdsResource]) -> dict[str, XdsResource]:
    return {resource.name: resource for resource in resources}
