"""Where the contents of Secrets are, private keys among them: files that this user alone may read, of what is in force (decision 15).

The database has Secrets without their keys, and names what they hold by a digest (:mod:`mizzen.resources.secret`). Of each
digest there is a folder here with all that is in the Secret, made whole before the Secret is recorded, and removed as soon as no
Secret has that digest any more. All functions block.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.resources.secret import KEPT, PRIVATE, SecretSpec
from mizzen.store.contents import AnyResource, StoreError

_UNFINISHED = ".new"


class SecretFiles:
    """The contents of Secrets below a folder, which is made when there is a first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, resources: Iterable[AnyResource]) -> None:
        """Writes what these Secrets hold; does nothing for other kinds. Raises StoreError.

        Where a Secret has the word for a key in the key's place, as `mizzen get` writes it, that key must be here already.
        """
        for secret in filter(_is_secret, resources):
            folder = self.folder / secret.spec.content_digest
            try:
                self._write(folder, secret)
            except OSError as error:
                shutil.rmtree(_unfinished(folder), ignore_errors=True)
                message = f"the contents of Secrets cannot be written to {self.folder}: {error.strerror}"
                raise StoreError.because(message, "free some space, or check its permissions") from error

    def collect(self, resources: Iterable[AnyResource]) -> None:
        """Removes what none of these Secrets hold."""
        if not self.folder.is_dir():
            return
        held = {secret.spec.content_digest for secret in filter(_is_secret, resources)}
        for entry in self.folder.iterdir():
            if entry.name not in held:
                shutil.rmtree(entry)

    def _write(self, folder: Path, secret: Resource[SecretSpec]) -> None:
        contents = {**secret.spec.contents, **secret.private}
        if missing := [name for name in PRIVATE & contents.keys() if contents[name] == KEPT]:
            if not all((folder / name).is_file() for name in missing):
                raise StoreError(_no_key(secret, missing[0]))
            return
        if folder.is_dir():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = _unfinished(folder)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        for name, text in contents.items():
            _write_file(made / name, text)
        _synchronize(made)
        made.rename(folder)
        _synchronize(self.folder)


def _is_secret(resource: AnyResource) -> TypeGuard[Resource[SecretSpec]]:
    return isinstance(resource.spec, SecretSpec)


def _unfinished(folder: Path) -> Path:
    return folder.with_name(folder.name + _UNFINISHED)


def _write_file(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _synchronize(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_key(secret: Resource[SecretSpec], name: str) -> Problem:
    return Problem(
        code="NoPrivateKey",
        message=f"`{name}` says that the key is kept, but none is kept for this certificate",
        position=secret.source.position("metadata.name"),
        resource=secret.key,
        hint=f"write the key itself under `{name}`",
    )
