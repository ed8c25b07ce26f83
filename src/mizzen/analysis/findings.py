"""Runs analyzers over a world and leaves out what is not wanted: other namespaces, suppressed messages, repetitions.

The order is istioctl's: the worst first, then by code, then by resource (istio/istio, ``pkg/config/analysis/diag``).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mizzen.analysis.analyzers import ANALYZERS, Analyzer
from mizzen.analysis.messages import Message
from mizzen.analysis.world import World
from mizzen.resources.problems import Level

_ANNOTATION = "galley.istio.io/analyze-suppress"
_LEVELS = (Level.ERROR, Level.WARNING, Level.INFO)


def at_least(level: Level, threshold: Level) -> bool:
    """Says whether a level is as bad as a threshold, or worse."""
    return _LEVELS.index(level) <= _LEVELS.index(threshold)


@dataclass(frozen=True)
class Suppression:
    """A code and the resources for which it is not wanted: ``Kind namespace/name`` or ``Kind name.namespace``, with ``*``."""

    code: str
    pattern: str

    def covers(self, message: Message) -> bool:
        """Says whether a message is one of those that are not wanted."""
        if message.type.code != self.code:
            return False
        item = message.item
        dotted = f"{item.kind} {item.name}.{item.namespace}" if item.namespace else item.shown
        pattern = re.compile(fnmatch.translate(self.pattern.replace("[", "[[]").replace("?", "[?]")))
        return bool(pattern.match(item.shown) or pattern.match(dotted))


@dataclass(frozen=True)
class Selection:
    """What is wanted. No ``namespaces`` are all; what is in no namespace is always wanted. No ``analyzers`` are all."""

    namespaces: Collection[str] = ()
    suppressions: Collection[Suppression] = ()
    analyzers: Collection[str] = ()

    def inside(self, message: Message) -> bool:
        """Says whether a message is about a namespace that is wanted."""
        return not self.namespaces or not message.item.home or message.item.home in self.namespaces

    def suppressed(self, message: Message) -> bool:
        """Says whether a message was declined, by its resource or by a suppression."""
        declined = [code.strip() for code in message.item.annotations.get(_ANNOTATION, "").split(",")]
        if "*" in declined or message.type.code in declined:
            return True
        return any(one.covers(message) for one in self.suppressions)

    def chosen(self) -> tuple[Analyzer, ...]:
        return tuple(one for one in ANALYZERS if not self.analyzers or one.name in self.analyzers)


def found(world: World, selection: Selection | None = None) -> tuple[list[Message], int]:
    """Returns the messages that are wanted, the worst first, and how many there are in other namespaces."""
    selection = selection or Selection()
    every = [one for analyzer in selection.chosen() for one in analyzer.check(world)]
    unique = _unique(one for one in every if not selection.suppressed(one))
    wanted = [one for one in unique if selection.inside(one)]
    return sorted(wanted, key=_order), len(unique) - len(wanted)


def _unique(messages: Iterable[Message]) -> list[Message]:
    first: dict[tuple[object, ...], Message] = {}
    for one in messages:
        first.setdefault((one.type.code, one.item.shown, one.position, one.text), one)
    return list(first.values())


def _order(message: Message) -> tuple[object, ...]:
    position = message.position
    place = (position.file, position.line, position.column) if position else ("", 0, 0)
    return (_LEVELS.index(message.type.level), message.type.code, message.item.shown, place, message.text)
