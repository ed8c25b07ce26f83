"""Looking into plain values that may have any form: what is not as expected counts as not there.

Whether a document has the form of its kind is for ``schema``; an analyzer looks at single fields and never fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Values = Mapping[str, Any]

_NOTHING: Values = {}


def at(value: Any, *path: str) -> Any:
    """Returns the field at ``path``, or None."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def mapping(value: Any, *path: str) -> Values:
    """Returns the mapping at ``path``, or an empty one."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else _NOTHING


def text(value: Any, *path: str) -> str:
    """Returns the text at ``path``, or ""."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number(value: Any, *path: str) -> int:
    """Returns the whole number at ``path``, or 0."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def texts(value: Any, *path: str) -> Sequence[str]:
    """Returns the texts of the list at ``path``; others in it are left out."""
    found = at(value, *path)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def labels(value: Any, *path: str) -> Mapping[str, str]:
    """Returns the pairs of text in the mapping at ``path``."""
    return {key: one for key, one in mapping(value, *path).items() if isinstance(one, str)}


def elements(value: Any, *path: str) -> Iterator[tuple[int, Values]]:
    """Yields the mappings in the list at ``path``, each with its index."""
    found = at(value, *path)
    if isinstance(found, list):
        yield from ((index, one) for index, one in enumerate(found) if isinstance(one, Mapping))


def mappings(value: Any, *path: str) -> list[Values]:
    """Returns the mappings in the list at ``path``."""
    return [one for _, one in elements(value, *path)]


def selects(selector: Mapping[str, str], given: Mapping[str, str]) -> bool:
    """Says whether all labels of a selector are among the given ones; an empty selector selects everything."""
    return all(given.get(key) == value for key, value in selector.items())


def shown(selector: Mapping[str, str]) -> str:
    """Returns a selector as ``a=1,b=2``."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
