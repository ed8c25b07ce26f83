"""TLS and TCP rules of VirtualServices that repeat the matches of an earlier rule (IST0130, IST0131).

For HTTP, and for TCP behind a rule without a match, the loader says it (``mizzen.resources.validation``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements
from mizzen.analysis.world import World
from mizzen.resources.paths import join


def repeated(world: World) -> Iterator[Message]:
    """Yields a message for each rule, and each match, that an earlier rule leaves nothing."""
    for item in world.of("VirtualService"):
        for kind in ("tls", "tcp"):
            seen: dict[str, int] = {}
            for index, route in elements(item.spec, kind):
                matches = [json.dumps(match, sort_keys=True, default=str) for _, match in elements(route, "match")]
                earlier = [seen.get(match) for match in matches]
                path = join(f"spec.{kind}", index)
                if matches and None not in earlier:
                    text = f"this rule is never used: {kind}[{earlier[0]}] before it has the same matches"
                    yield message("IST0130", item, path, text)
                else:
                    for position, before in enumerate(earlier):
                        if before is not None:
                            where = join(f"{path}.match", position)
                            text = f"this match is never used: {kind}[{before}] before it has it, too"
                            yield message("IST0131", item, where, text)
                for match in matches:
                    seen.setdefault(match, index)
