"""A control group in which all containers of an engine are, in each hierarchy that the machine has (one, or version 1's)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ControlGroup:
    name: str

    def processes(self) -> set[int]:
        """Returns the processes in the group and the groups below it."""
        # The hierarchies say the same; to read all of them takes long where there are hundreds of containers.
        folders = [folder for top in self._folders()[:1] for folder in _below(top)]
        return {int(line) for folder in folders for line in _text(folder / "cgroup.procs").split()}

    def thaw(self) -> None:
        """Has what is paused go on; in version 1 it could not even be killed."""
        for folder in _below(_ROOT / "freezer" / self.name):
            with contextlib.suppress(OSError):  # It may end meanwhile.
                (folder / "freezer.state").write_text("THAWED")

    def removed(self) -> bool:
        """Removes what is there and not busy; says whether that was all."""
        for top in self._folders():
            for folder in _below(top):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return not self._folders()

    def _folders(self) -> list[Path]:
        return [*_ROOT.glob(self.name), *_ROOT.glob(f"*/{self.name}")]


def _below(top: Path) -> Iterator[Path]:
    """Walks a folder and all in it, the deepest first, whatever vanishes meanwhile."""
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
