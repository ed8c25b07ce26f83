"""``down --purge``: removes what a mesh has left in its state directory.

Only Mizzen's own files go, and only where there is a database of ours: the directory is one that the user has named.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from mizzen.cli import choosing
from mizzen.cli.choosing import Mesh
from mizzen.cli.output import Complaint
from mizzen.settings import Settings


def purge(mesh: Mesh) -> None:
    """Removes the state of a mesh that does not run; raises :class:`Complaint` where it runs, or cannot be removed."""
    from mizzen.node.host import StartError
    from mizzen.node.locking import state_directory

    settings = mesh.settings
    if settings.database.exists():
        try:
            with state_directory(settings):
                for path in _own(settings):
                    _remove(path)
        except StartError as error:
            raise Complaint(str(error)) from error
        with contextlib.suppress(OSError):  # The user has put something there, too.
            mesh.state_dir.rmdir()
        click.echo(f"state of mesh {mesh.name} removed ({mesh.state_dir})")
    choosing.forget(mesh)


def _own(settings: Settings) -> Iterator[Path]:
    yield from settings.state_dir.glob(f"{settings.database.name}*")
    yield from (settings.authority_dir, settings.secrets_dir, settings.log_dir, settings.sockets)
    yield from (settings.children_dir, settings.state_dir / "resolv")
    yield from (settings.mesh_file, settings.lock_file)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
