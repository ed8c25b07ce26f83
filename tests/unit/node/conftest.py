from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.node.played import Stage, played


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return played(tmp_path, monkeypatch)
