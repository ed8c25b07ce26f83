"""Which mesh a command is about: found by name, by state directory, or because it is the only one that runs.

A mesh lives in its state directory, by default ``$XDG_STATE_HOME/mizzen/NAME``. ``mizzen up --state-dir`` leaves a
record of where a mesh of that name is (``$XDG_STATE_HOME/mizzen/meshes/NAME.json``), so that other commands find it by
name alone. A mesh runs as long as its node holds the lock of the state directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mizzen.cli.output import Complaint
from mizzen.settings import Settings

DEFAULT_NAME = "default"
_RECORDS = "meshes"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Choice:
    """What the user said about which mesh: ``--name`` and ``--state-dir``, or nothing."""

    name: str = ""
    state_dir: Path | None = None


@dataclass(frozen=True)
class Mesh:
    """A mesh that is known on this machine. ``pid`` is its node's process, or 0 when the mesh does not run.

    ``supervisor`` starts the node of a detached mesh again if it is killed; until it has, ``pid`` is its own. ``killed`` is
    the process that was the node if it ended without cleaning up and nobody starts another, else 0.
    """

    name: str
    state_dir: Path
    pid: int = 0
    supervisor: int = 0
    capture: str = ""
    started: float = 0.0
    sockets: Path | None = None
    killed: int = 0

    @property
    def settings(self) -> Settings:
        return Settings(name=self.name, state_dir=self.state_dir)

    @property
    def api_socket(self) -> Path:
        return self.sockets / "api.sock" if self.sockets else self.settings.api_socket

    @property
    def control_log(self) -> Path:
        return self.settings.control_log


def state_home() -> Path:
    """The folder of everything that Mizzen keeps for this user (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "mizzen"


def running(choice: Choice) -> Mesh:
    """Returns the running mesh that is meant; raises :class:`Complaint` where there is none, or more than one."""
    if choice.name or choice.state_dir:
        mesh = described(choice)
        if mesh.pid:
            return mesh
        if mesh.killed:
            raise _was_killed(mesh)
        raise Complaint(f"mesh {mesh.name} is not running (state directory {mesh.state_dir})", hint=_what_runs())
    meshes = all_running()
    if len(meshes) == 1:
        return meshes[0]
    if meshes:
        names = ", ".join(mesh.name for mesh in meshes)
        raise Complaint(f"several meshes are running: {names}", hint="Say which: --name NAME, or MIZZEN_NAME.")
    if killed := all_killed():
        raise _was_killed(killed[0])
    raise Complaint("no mesh is running", hint=_what_runs())


def unsaid(choice: Choice, mesh: Mesh) -> str:
    """Returns which mesh a change is made to, where nobody said it and another may have been meant; else ""."""
    if choice.name or choice.state_dir:
        return ""
    if mesh.name == DEFAULT_NAME and all(other.state_dir == mesh.state_dir for other in _all()):
        return ""
    return f"mesh {mesh.name} (the only one that runs; --name says which)"


def described(choice: Choice) -> Mesh:
    """Returns the mesh that is meant, running or not, whether or not it has ever been started."""
    if choice.state_dir:
        return _read(choice.name or DEFAULT_NAME, choice.state_dir.absolute(), named=bool(choice.name))
    name = checked_name(choice.name or DEFAULT_NAME)
    return _read(name, _recorded(name) or state_home() / name)


def all_running() -> list[Mesh]:
    """Returns the meshes that run, by name: those with a record and those in the default place."""
    return [mesh for mesh in _all() if mesh.pid]


def all_killed() -> list[Mesh]:
    """Returns those that were killed, by name, and have not been started or cleaned up since."""
    return [mesh for mesh in _all() if mesh.killed]


def _was_killed(mesh: Mesh) -> Complaint:
    return Complaint(
        f"mesh {mesh.name} was killed: its node (process {mesh.killed}) has ended without cleaning up",
        hint="Its proxies have ended with it, so what they served is cut off."
        f" Start it again with mizzen up, or be rid of it: mizzen down --name {mesh.name}",
    )


def _all() -> list[Mesh]:
    home = state_home()
    recorded = {path.stem: _recorded(path.stem) for path in (home / _RECORDS).glob("*.json")}
    default = {path.parent.name: path.parent for path in home.glob("*/mesh.json")}
    folders = {folder: name for name, folder in (default | recorded).items() if folder}
    meshes = [_read(name, folder) for folder, name in folders.items()]
    return sorted(meshes, key=lambda mesh: mesh.name)


def record(mesh: Mesh) -> None:
    """Remembers where the mesh of this name lives; replaces what was remembered. Raises :class:`Complaint`."""
    target = state_home() / _RECORDS / f"{mesh.name}.json"
    draft = target.with_suffix(f".{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"name": mesh.name, "stateDir": str(mesh.state_dir)}) + "\n")
        draft.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise Complaint(
            f"cannot write {target}: {error.strerror}", hint="Commands find a mesh by this record."
        ) from error


def forget(mesh: Mesh) -> None:
    """Removes the record of where this mesh lives, unless its name has gone to another."""
    if _recorded(mesh.name) == mesh.state_dir:
        (state_home() / _RECORDS / f"{mesh.name}.json").unlink(missing_ok=True)


def checked_name(name: str) -> str:
    """Returns the name if a mesh may have it: a DNS label, as names in Kubernetes."""
    if not _NAME.fullmatch(name) or name == _RECORDS:
        raise Complaint(
            f"{name!r} cannot be the name of a mesh",
            hint="A name has up to 63 small letters, digits and '-', begins and ends with a letter or digit,"
            f" and is not {_RECORDS!r}.",
        )
    return name


def _recorded(name: str) -> Path | None:
    folder = _load(state_home() / _RECORDS / f"{name}.json").get("stateDir")
    return Path(folder) if isinstance(folder, str) else None


def _read(name: str, state_dir: Path, *, named: bool = True) -> Mesh:
    """Reads what the node wrote about itself; what cannot be read belongs to a mesh that does not run."""
    settings = Settings(name=name, state_dir=state_dir)
    facts = _load(settings.mesh_file)
    pid = facts.get("pid", 0)
    name = name if named else facts.get("name", name)
    if not isinstance(pid, int) or pid <= 0 or not _locked(settings.lock_file, pid):
        pid = 0
    supervisor = _supervisor(facts)
    pid = pid or supervisor
    if not pid:
        recorded = facts.get("pid", 0)
        return Mesh(
            name, state_dir, capture=facts.get("capture", ""), killed=recorded if isinstance(recorded, int) else 0
        )
    return Mesh(
        name=facts.get("name", name),
        state_dir=state_dir,
        pid=pid,
        supervisor=supervisor,
        capture=facts.get("capture", ""),
        started=_seconds(facts.get("started")),
        sockets=Path(facts["sockets"]) if facts.get("sockets") else None,
    )


def _supervisor(facts: dict[str, Any]) -> int:
    """Returns the process that keeps the node, or 0 if there is none."""
    from mizzen.node.process_table import start_time

    pid, started = facts.get("supervisor"), facts.get("supervisorStarted")
    return pid if isinstance(pid, int) and pid > 0 and started and start_time(pid) == started else 0


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _load(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    return {}


def _locked(lock_file: Path, pid: int) -> bool:
    """Whether a node holds the lock.

    To ask is to take a shared lock for an instant, which would turn away a node that starts at that instant; so the
    process is looked for first.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # Another user's process.
    try:
        with lock_file.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _what_runs() -> str:
    names = [mesh.name for mesh in all_running()]
    if names:
        return f"Running: {', '.join(names)}. Say which with --name, or start this one with: mizzen up PATH"
    return (
        "Start one with: mizzen up PATH (YAML such as examples/bookinfo, or a Compose file), or mizzen up --containers (all"
        " containers of this host)"
    )
