"""How near a certificate is to its end, said in words long before it is an outage.

Both sides use it: the authority for its root, the node for the certificates of its workloads.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

_DAY = 86400.0
_UNITS = ((_DAY, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


class HealthState(enum.StrEnum):
    """``pending``: there is none yet. ``expiring``: it works, but its renewal is overdue and someone must look."""

    PENDING = "pending"
    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Health:
    """The state of one certificate; ``not_after`` is Unix time in seconds, or None while there is no certificate."""

    state: HealthState
    message: str = ""
    not_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.state is HealthState.OK


def duration(seconds: float) -> str:
    """Writes a duration for people, in its two largest units: ``12 d 4 h``."""
    if seconds < 1:
        return "0 s"
    words: list[str] = []
    rest = seconds
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{int(count)} {unit}")
        if len(words) == 2 or (words and not count):
            break
    return " ".join(words)
