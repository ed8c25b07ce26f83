from __future__ import annotations

import dataclasses
import json
import os
import stat
from pathlib import Path

import pytest

from mizzen.node.host import StartError
from mizzen.node.locking import described, state_directory
from mizzen.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(name="one", state_dir=tmp_path / "deep" / "state")


def test_the_folders_are_closed_to_others(settings: Settings) -> None:
    settings.state_dir.mkdir(parents=True, mode=0o755)
    with state_directory(settings):
        for folder in (settings.state_dir, settings.log_dir, settings.sockets):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_mesh_is_told_who_is_there(settings: Settings) -> None:
    other = dataclasses.replace(settings, name="two")
    with state_directory(settings):
        with pytest.raises(StartError, match="starting or stopping"), state_directory(other):
            pass
        with described(settings, capture="explicit", version="1"):
            content = json.loads(settings.mesh_file.read_text())
            assert content | {"started": 0} == {
                "name": "one",
                "pid": os.getpid(),
                "capture": "explicit",
                "sockets": str(settings.sockets),
                "started": 0,
                "version": "1",
            }
            expected = rf"in use by mesh one \(process {os.getpid()}\): stop it with `mizzen down --name one`"
            with pytest.raises(StartError, match=expected), state_directory(other):
                pass
        assert not settings.mesh_file.exists()
    with state_directory(other):
        pass


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(name="one", state_dir=tmp_path / "file" / "state")
    expected = r"cannot use the state directory .*file/state: Not a directory .*--state-dir"
    with pytest.raises(StartError, match=expected), state_directory(settings):
        pass
