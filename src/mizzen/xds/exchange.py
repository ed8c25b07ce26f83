"""The words between a subscription and what drives it: what a response holds, and what a reply to it means."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mizzen.compile.resource import XdsResource

WILDCARD: Final = "*"
ABSENT: Final = ""
"""The version of a resource that does not exist, once the proxy was told so."""


class Missing(enum.Enum):
    """What to do about a name that the proxy asks for or holds, and that its configuration lacks."""

    TELL = "tell the proxy that there is none"
    LEAVE = "say nothing"


Fallback: TypeAlias = Callable[[str, bool], XdsResource | Missing]
"""Says what stands for a missing resource: given its name, and whether the proxy holds one of that name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The content of one response."""

    updates: tuple[XdsResource, ...] = ()
    removed: tuple[str, ...] = ()

    def names(self) -> list[str]:
        return [*(resource.name for resource in self.updates), *self.removed]

    def versions(self) -> dict[str, str]:
        return {resource.name: resource.version for resource in self.updates} | dict.fromkeys(self.removed, ABSENT)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource that the proxy rejected, in its words; ``resource`` is None if it rejected a removal.

    ``held`` is what it goes on with, if anything.
    """

    name: str
    version: str
    message: str
    resource: XdsResource | None
    held: XdsResource | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A proxy's reply to the response ``number``: what it accepted (``batch``), or which resource it refused.

    A rejected response that held several resources has no ``refusal`` yet: they are about to be sent one by one.
    """

    number: int
    batch: Batch
    accepted: bool
    refusal: Refusal | None = None
