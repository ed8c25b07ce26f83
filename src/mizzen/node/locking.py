"""One node for one state directory: the lock, and the file that tells other processes what runs there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from mizzen.node.host import StartError
from mizzen.node.process_table import start_time
from mizzen.settings import Settings


@contextlib.contextmanager
def state_directory(settings: Settings) -> Iterator[None]:
    """Makes the folders of a mesh and holds its lock; raises :class:`StartError` where that cannot be."""
    try:
        for folder in (settings.state_dir, settings.log_dir, settings.sockets):
            _make_private(folder)
        descriptor = os.open(settings.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"cannot use the state directory {settings.state_dir}: {error.strerror} ({error.filename}); "
            "choose another with --state-dir"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(_in_use(settings)) from error
        yield
        # Nothing of the mesh runs any more; whatever was left in there by processes that were killed means nothing now.
        shutil.rmtree(settings.sockets, ignore_errors=True)
    finally:
        os.close(descriptor)  # ends the lock


@contextlib.contextmanager
def described(settings: Settings, *, capture: str, version: str, supervisor: int = 0) -> Iterator[None]:
    """Keeps mesh.json while the mesh runs; raises :class:`StartError` if it cannot be written.

    Between two nodes, of which the first was killed, the mesh is what its ``supervisor`` keeps, if there is one.
    """
    content = {
        "name": settings.name,
        "pid": os.getpid(),
        "capture": capture,
        "sockets": str(settings.sockets),
        "started": time.time(),
        "version": version,
    }
    if supervisor:
        content |= {"supervisor": supervisor, "supervisorStarted": start_time(supervisor)}
    draft = settings.mesh_file.with_suffix(".json.new")
    try:
        draft.write_text(json.dumps(content))
        draft.replace(settings.mesh_file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StartError(f"cannot write {settings.mesh_file}: {error.strerror}") from error
    try:
        yield
    finally:
        settings.mesh_file.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """Makes a folder that only this user may enter; keys and the sockets of the mesh are in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(1, "it belongs to another user", str(folder))
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def _in_use(settings: Settings) -> str:
    try:
        running = json.loads(settings.mesh_file.read_text())
        name, pid = running["name"], running["pid"]
    except (OSError, ValueError, KeyError):
        return f"the state directory {settings.state_dir} is in use by a mesh that is starting or stopping: try again"
    return (
        f"the state directory {settings.state_dir} is in use by mesh {name} (process {pid}): "
        f"stop it with `mizzen down --name {name}`, or choose another --state-dir"
    )
