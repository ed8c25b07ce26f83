"""Paths of fields as messages show them: ``spec.http[0].route[1].weight``, ``metadata.labels[example.com/name]``."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


def join(path: str, name: str | int) -> str:
    """Returns the path of a field, or of a list's element, below ``path``."""
    if isinstance(name, int) or not ((name.isalpha() and name.isascii()) or _PLAIN_KEY.fullmatch(name)):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def path_of(loc: Iterable[str | int], path: str = "") -> str:
    """Returns the path of what is reached by these names and numbers below ``path``."""
    for element in loc:
        path = join(path, element)
    return path


def parent(path: str) -> str:
    """Returns the path of what a field stands in; the document's is empty."""
    if path.endswith("]"):
        return path[: path.rfind("[")]
    return path[: max(path.rfind("."), 0)]
