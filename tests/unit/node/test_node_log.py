from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from mizzen.node.__main__ import _EventWriter
from mizzen.node.events import InstanceCrashed, MeshReady
from mizzen.node.node_log import log_to, open_log


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_the_log_is_for_its_owner_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    for text in (b"one\n", b"two\n"):
        with open_log(path) as file:
            file.write(text)
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_what_went_wrong_is_not_at_level_info_and_nothing_is_coloured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with open_log(tmp_path / "node.log") as file:
        log_to(file.fileno(), log_format)
        write = _EventWriter(None)
        write(InstanceCrashed("default", "web-0", "exit code 3", 0.2))
        write(MeshReady(1, 2.0))
    crashed, ready = (tmp_path / "node.log").read_text().splitlines()
    assert "\x1b" not in crashed
    if log_format == "json":
        assert [json.loads(line)["level"] for line in (crashed, ready)] == ["error", "info"]
    else:
        assert "[error    ] web-0 failed" in crashed
        assert "[info     ] mesh is ready" in ready
