"""What a user most likely meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, known: Iterable[str], cutoff: float = 0.65) -> str | None:
    """Returns the known name that ``name`` most likely stands for; case, ``_`` and ``-`` do not count.

    ``cutoff`` is how alike they must be, from 0 to 1.
    """
    plain = {_plain(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def listed(names: Sequence[str]) -> str:
    """Returns names as a hint shows them, of many the first."""
    shown = list(names[:24])
    return ", ".join(f"`{name}`" for name in shown) + (", ..." if len(names) > len(shown) else "")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
