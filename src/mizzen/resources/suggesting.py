"""What a user most likely meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

# Two names are compared in some microseconds.
_MOST_COMPARED = 100_000


def nearest(name: str, known: Iterable[str], cutoff: float = 0.65) -> str | None:
    """Returns the known name that ``name`` most likely stands for; case, ``_`` and ``-`` do not count.

    ``cutoff`` is how alike they must be, from 0 to 1.
    """
    plain = {_plain(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


class Guesses:
    """:func:`nearest` for many names among the same known ones: each is looked for once, and not without end.

    A hint is worth a moment; where thousands of names are unknown, the first ones have hints, which say enough.
    """

    def __init__(self, cutoff: float = 0.65) -> None:
        self._cutoff = cutoff
        self._found: dict[str, str | None] = {}
        self._left = _MOST_COMPARED

    def nearest(self, name: str, known: Collection[str]) -> str | None:
        if name not in self._found:
            self._left -= len(known)
            self._found[name] = nearest(name, known, self._cutoff) if self._left >= 0 else None
        return self._found[name]


def listed(names: Sequence[str]) -> str:
    """Returns names as a hint shows them, of many the first."""
    shown = list(names[:24])
    return ", ".join(f"`{name}`" for name in shown) + (", ..." if len(names) > len(shown) else "")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
