"""Retries that can repeat a request which may have been acted on: Mizzen's own message, by the rule that ``apply`` has, too."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.world import World
from mizzen.resources.validation.unsafe_retries import CODE


def unsafe(world: World) -> Iterator[Message]:
    """MZN0004 for each route with such a policy that is not for safe methods alone."""
    for item in world.items:
        for problem in item.problems:
            if problem.code == CODE:
                yield message(CODE, item, problem.path, f"{problem.message}: {problem.hint}")
