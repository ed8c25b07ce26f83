"""What the node tells of certificates that instances have beside those of their identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mizzen.node.events import InstanceEvent


@dataclass(frozen=True)
class SecretUnusable(InstanceEvent):
    """A certificate cannot be used, that of this instance and of so many ``others``; what was read before still is."""

    level: ClassVar[str] = "error"
    message: str
    others: int = 0

    @classmethod
    def of(cls, message: str, whose: Sequence[tuple[str, str]]) -> SecretUnusable:
        """``whose`` are the namespaces and names of the instances."""
        return cls(*whose[0], message, len(whose) - 1)

    @property
    def line(self) -> str:
        others = f" and {self.others} more" if self.others else ""
        return f"{self.who}{others}: {self.message}"
