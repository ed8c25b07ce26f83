"""Where the contents of Secrets are, private keys among them: files that this user alone may read, of what is in force (decision 15).

The database has Secrets without their keys, and names what they hold by a digest (:mod:`mizzen.resources.secret`). Of each
digest there is a folder here with all that is in the Secret, made whole before the Secret is recorded, and removed as soon as no
Secret has that digest any more. All functions block.
"""

from __future__ import annotations

import dataclasses
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

    def lacking(self, resources: Iterable[AnyResource]) -> list[Problem]:
        """Returns a problem for each Secret that has the word for a key in the key's place, as `mizzen get` writes it, although
        that key is neither here nor in another one of them.
        """
        secrets = list(filter(_is_secret, resources))
        given = {one.spec.content_digest for one in secrets if not _kept_keys(one)}
        found = []
        for one in secrets:
            folder = self.folder / one.spec.content_digest
            missing = [name for name in _kept_keys(one) if not (folder / name).is_file()]
            if missing and one.spec.content_digest not in given:
                found.append(_no_key(one, missing[0]))
        return found

    def keep(self, resources: Iterable[AnyResource]) -> None:
        """Writes what these Secrets hold, none of which may be :meth:`lacking`; does nothing for other kinds. Raises StoreError."""
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
        if folder.is_dir() or _kept_keys(secret):
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = _unfinished(folder)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        for name, text in {**secret.spec.contents, **secret.private}.items():
            _write_file(made / name, text)
        _synchronize(made)
        made.rename(folder)
        _synchronize(self.folder)


def _is_secret(resource: AnyResource) -> TypeGuard[Resource[SecretSpec]]:
    return isinstance(resource.spec, SecretSpec)


def _kept_keys(secret: Resource[SecretSpec]) -> list[str]:
    """Returns the names of the keys of which a Secret says only that they are kept."""
    contents = {**secret.spec.contents, **secret.private}
    return sorted(name for name in PRIVATE & contents.keys() if contents[name] == KEPT)


def without_keys(resource: AnyResource) -> AnyResource:
    """Returns a resource that says what it said, without the private keys that were written in it."""
    return dataclasses.replace(resource, private={}) if resource.private else resource


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
