"""What the page is made of: tables in Markdown, numbers in their cells, goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Goal:
    """A line of the table of goals: what is measured, what it may be at most, what it is, and whether that will do."""

    what: str
    most: str
    found: str
    met: bool


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def ranged(spread: Mapping[str, float], digits: int = 2) -> str:
    """Returns a number that was measured several times: the median, and the smallest and largest in brackets."""
    median, low, high = (f"{spread[name]:.{digits}f}" for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def megabytes(size: float) -> str:
    return f"{size / _MEGABYTE:.1f}"
