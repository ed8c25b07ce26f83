"""The processes of a mesh: all that the node has started, found by the environment that they inherit from it."""

from __future__ import annotations

from pathlib import Path


def of_mesh(state_dir: Path) -> dict[int, str]:
    """Returns the command lines of all living processes that were started for this state directory, by process id.

    Commands on a mesh have its state directory in their environment (``tests.support.meshes.environment``), and so has
    everything that `mizzen up` starts, whoever its parent is by now.
    """
    return with_variable("MIZZEN_STATE_DIR", str(state_dir))


def with_variable(name: str, value: str) -> dict[int, str]:
    """Returns the command lines of all living processes that were started with this variable, by process id."""
    mark = f"{name}={value}".encode() + b"\0"
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and mark in _read(folder / "environ") + b"\0":
            found[int(folder.name)] = _read(folder / "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def child_of(parent: int, word: str) -> int | None:
    """Returns the living child of a process that has a word in its command line, or None."""
    for folder in Path("/proc").iterdir():
        status = _read(folder / "stat").rpartition(b")")[2].split() if folder.name.isdigit() else []
        if status and int(status[1]) == parent and word.encode() in _read(folder / "cmdline"):
            return int(folder.name)
    return None


def _read(file: Path) -> bytes:
    """Returns what a file of /proc holds: nothing for a process that has ended, or has nothing to say any more."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
