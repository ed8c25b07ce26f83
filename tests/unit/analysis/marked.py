"""Cases with their expected messages in them: ``#! CODE Kind namespace/name`` at the line to which a message points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mizzen.analysis import ANALYZERS, Analyzer, World, read

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_MARK = re.compile(r"#! (.*)$")


def check(
    analyzer: str | Analyzer, text: str, *, mesh_config: Mapping[str, Any] | None = None, running: bool = False
) -> list[str]:
    """Asserts that an analyzer says about a text what its marks say, and returns the words."""
    loaded = read([("case.yaml", text)])
    assert not loaded.problems
    world = World(loaded.items, mesh_config=mesh_config, running=running, now=NOW)
    (chosen,) = [one for one in ANALYZERS if one.name == analyzer] if isinstance(analyzer, str) else [analyzer]
    messages = list(chosen.check(world))
    said = sorted((one.position.line if one.position else 0, f"{one.type.code} {one.item.shown}") for one in messages)
    assert said == sorted(_expected(text))
    return [one.text for one in messages]


def _expected(text: str) -> list[tuple[int, str]]:
    return [
        (number, mark.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if (found := _MARK.search(line))
        for mark in found[1].split(";")
    ]
