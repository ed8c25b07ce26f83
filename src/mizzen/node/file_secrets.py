"""Certificates of gateways, which users keep in files or the mesh in its store of Secrets: read, checked, and read again when
files of users change.

Whatever renews them writes two files, one after the other, or swaps a link as Kubernetes does. So a pair is served when
both fit each other, and what was served last stays until then. That the files have changed is found by looking: a watch
on a file misses swapped links, and one on a folder is woken by everything else there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.compile.resource import XdsResource
from mizzen.identity.secrets import certificate_secret, roots_secret
from mizzen.registry.reports import FileSecret

# How often files are looked at, in seconds.
_INTERVAL = 1.0

Gateway = tuple[str, str]
"""Namespace and name of an instance."""
_Stamp = tuple[tuple[int, ...], ...]


class UnusableError(Exception):
    """Files that hold no usable secret; the text says which and why."""


@dataclass
class _Held:
    """A secret and what was last seen of its files; ``made`` is what is served, ``problem`` what is wrong now, or ""."""

    wanted: FileSecret
    stamp: _Stamp = ()
    made: XdsResource | None = None
    problem: str = ""


@dataclass
class _User:
    """A gateway and what it is to have; ``before`` is what it had, for as long as there is nothing in its place."""

    secrets: tuple[FileSecret, ...]
    changed: Callable[[], None]
    before: Mapping[str, XdsResource]


@dataclass
class FileSecrets:
    """The secrets of all gateways of this node. ``news`` is called when one has changed."""

    news: Callable[[], None]
    _held: dict[FileSecret, _Held] = field(default_factory=dict)
    _users: dict[Gateway, _User] = field(default_factory=dict)
    _in_use: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, gateway: Gateway, secrets: tuple[FileSecret, ...], changed: Callable[[], None]) -> None:
        """Serves secrets to a gateway, in place of those that it had; ``changed`` is called when a problem comes or goes.

        One that cannot be read has what the gateway had under its name.
        """
        self._users[gateway] = _User(secrets, changed, self.of(gateway))
        for one in secrets:
            if one not in self._held:
                self._held[one] = _look(_Held(one))
        if any(one.watched for one in self._held):
            self._in_use.set()
        self._drop_unused()
        self._drop_replaced()
        self.news()

    def forget(self, gateway: Gateway) -> None:
        """The gateway is gone; does nothing for one that has no secrets."""
        if self._users.pop(gateway, None):
            self._drop_unused()

    def of(self, gateway: Gateway) -> Mapping[str, XdsResource]:
        """Returns the secrets of a gateway by name: those that could be read."""
        if (user := self._users.get(gateway)) is None:
            return {}
        found = {one.name: self._held[one].made or user.before.get(one.name) for one in user.secrets}
        return {name: made for name, made in found.items() if made}

    def problem(self, gateway: Gateway) -> str:
        """Returns what is wrong with the files of a gateway, or ""."""
        user = self._users.get(gateway)
        return "; ".join(problem for one in user.secrets if (problem := self._held[one].problem)) if user else ""

    async def run(self) -> None:
        """Looks after the files until this is cancelled."""
        while True:
            await self._in_use.wait()
            await asyncio.sleep(_INTERVAL)
            self.refresh()

    def refresh(self) -> None:
        """Reads again what has changed."""
        watched = {one: held for one, held in self._held.items() if one.watched}
        before = {one: (held.made, held.problem) for one, held in watched.items()}
        changed = {one for one, held in watched.items() if (_look(held).made, held.problem) != before[one]}
        if changed:
            self._drop_replaced()
            self.news()
            for user in list(self._users.values()):
                if not changed.isdisjoint(user.secrets):
                    user.changed()

    def _drop_replaced(self) -> None:
        """Forgets what gateways had under names for which there is something else now: keys that were rotated away."""
        for user in self._users.values():
            missing = {one.name for one in user.secrets if not self._held[one].made}
            user.before = {name: made for name, made in user.before.items() if name in missing}

    def _drop_unused(self) -> None:
        used = {one for user in self._users.values() for one in user.secrets}
        self._held = {one: held for one, held in self._held.items() if one in used}
        if not any(one.watched for one in self._held):
            self._in_use.clear()


def _look(held: _Held) -> _Held:
    """Reads the files if they are not those that were read last."""
    wanted = held.wanted
    paths = [path for path in (wanted.certificate, wanted.key, wanted.roots, wanted.crl) if path]
    stamp = tuple(map(_stamp, paths))
    if stamp != held.stamp or not held.stamp:
        held.stamp = stamp
        try:
            held.made, held.problem = read(wanted), ""
        except UnusableError as error:
            held.problem = str(error)
    return held


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def read(wanted: FileSecret) -> XdsResource:
    """Returns the secret that files hold. Raises :class:`UnusableError`."""
    if wanted.problem:
        raise UnusableError(wanted.problem)
    if wanted.roots:
        text = _text(wanted.roots)
        _certificates(wanted.roots, text)
        return roots_secret(text, wanted.name, _revoked(wanted.crl) if wanted.crl else "")
    chain, key = _text(wanted.certificate), _text(wanted.key)
    first = _certificates(wanted.certificate, chain)[0]
    try:
        own = load_pem_private_key(key.encode(), None).public_key()
    except (ValueError, TypeError) as error:
        raise UnusableError(f"{wanted.key} holds no private key that can be read without a password") from error
    if own != first.public_key():
        raise UnusableError(f"the key in {wanted.key} is not that of the certificate in {wanted.certificate}")
    return certificate_secret(key, chain, wanted.name)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UnusableError(f"{path} is not in PEM form") from error


def _certificates(path: str, text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise UnusableError(f"{path} holds no certificate in PEM form") from error


def _revoked(path: str) -> str:
    text = _text(path)
    try:
        x509.load_pem_x509_crl(text.encode())
    except ValueError as error:
        raise UnusableError(f"{path} holds no revocation list in PEM form") from error
    return text
