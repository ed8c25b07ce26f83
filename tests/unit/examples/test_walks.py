"""Every README of the examples can be followed from its first command to its last: no step is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.walks import ROOT, steps, walk

from mizzen.resources.loading import load_paths

EXAMPLES = ROOT / "examples"
TASKS = EXAMPLES / "tasks" / "README.md"
READMES = sorted(EXAMPLES.rglob("README.md"))


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: str(readme.parent.relative_to(EXAMPLES)))
def test_no_step_is_refused(readme: Path) -> None:
    # The tasks share one mesh, which the README above them starts; the containers of Compose make Bookinfo's services.
    before = steps(TASKS) if readme.parent.parent == TASKS.parent else []
    found = load_paths([EXAMPLES / "bookinfo"] if readme.parent.name == "compose" else [])
    told = [*before, *steps(readme)]
    assert told[0].words[0] == "up"
    assert len(told) > 1 or readme == TASKS
    refused = {
        str(step): list(map(str, problems))
        for step, problems in walk(told, {one.key: one for one in found.resources})
        if problems
    }
    assert refused == {}
