"""Paths of the network namespaces that a node has attached, and what they tell when the node was killed.

Each is a link in a folder to the descriptor that the node holds, with a name that no other namespace ever has:
``<instance>.<namespace>-<token>-<number>``, where the number is the kernel's for the namespace. While nobody holds a
namespace the kernel may give its number to another, so whoever cleans up must leave alone what has no rules of ours.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from mizzen.node.capture import foreign
from mizzen.node.capture.foreign import Held
from mizzen.node.capturing import CaptureError


class NamespacePaths:
    """The paths of one node, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> set[str]:
        """Makes the folder; returns the instances (``<instance>.<namespace>``) that a killed run had attached, and
        removes their paths.
        """
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        left = list(self._folder.iterdir())
        for path in left:
            path.unlink()
        return {path.name.rsplit("-", 2)[0] for path in left}

    def add(self, instance: str, namespace: str, held: Held) -> Path:
        path = self._folder / f"{instance}.{namespace}-{secrets.token_hex(4)}-{number_of(held.path)}"
        path.symlink_to(held.path)
        return path

    def close(self) -> None:
        """Removes the folder, unless a namespace in it could not be left as it was."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def number_of(netns: str) -> int:
    """Returns what tells a namespace from all others for as long as somebody holds it; raises OSError if it is gone."""
    return os.stat(netns).st_ino  # noqa: PTH116 - a link of /proc, whose target is no path


def clean_up(folder: Path) -> list[str]:
    """Removes what a killed run has left in the namespaces whose paths are in its folder, and the folder; blocks.

    Returns what could not be removed, in words; raises OSError for the folder itself.
    """
    if not folder.is_dir():
        return []
    problems = []
    numbers = {path.name.rpartition("-")[2] for path in folder.iterdir()}
    for process in Path("/proc").iterdir():
        netns = str(process / "ns" / "net")
        with contextlib.suppress(OSError):  # No process, or one that has ended.
            if (number := str(number_of(netns))) in numbers:
                numbers.discard(number)
                problems += _clean_up(netns)
    NamespacePaths(folder).open()
    folder.rmdir()
    return problems


def _clean_up(netns: str) -> list[str]:
    try:
        foreign.clean_up(netns)
    except (CaptureError, OSError) as error:
        return [f"rules of the mesh may be left in the network of process {netns.split('/')[2]}: {error}"]
    return []
