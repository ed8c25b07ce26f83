"""Certificates of gateways that users keep in files: read, checked, and read again when they change.

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
    names: tuple[str, ...]
    changed: Callable[[], None]


@dataclass
class FileSecrets:
    """The secrets of all gateways of this node. ``news`` is called when one has changed."""

    news: Callable[[], None]
    _held: dict[str, _Held] = field(default_factory=dict)
    _users: dict[Gateway, _User] = field(default_factory=dict)
    _in_use: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, gateway: Gateway, secrets: tuple[FileSecret, ...], changed: Callable[[], None]) -> None:
        """Serves secrets to a gateway, in place of those that it had; ``changed`` is called when a problem comes or goes."""
        self._users[gateway] = _User(tuple(one.name for one in secrets), changed)
        for one in secrets:
            if one.name not in self._held:
                self._held[one.name] = _look(_Held(one))
                self._in_use.set()
        self._drop_unused()
        self.news()

    def forget(self, gateway: Gateway) -> None:
        """The gateway is gone; does nothing for one that has no secrets."""
        if self._users.pop(gateway, None):
            self._drop_unused()

    def of(self, gateway: Gateway) -> Mapping[str, XdsResource]:
        """Returns the secrets of a gateway by name: those that could be read."""
        user = self._users.get(gateway)
        held = [self._held[name] for name in user.names] if user else []
        return {one.wanted.name: one.made for one in held if one.made}

    def problem(self, gateway: Gateway) -> str:
        """Returns what is wrong with the files of a gateway, or ""."""
        user = self._users.get(gateway)
        return "; ".join(problem for name in user.names if (problem := self._held[name].problem)) if user else ""

    async def run(self) -> None:
        """Looks after the files until this is cancelled."""
        while True:
            await self._in_use.wait()
            await asyncio.sleep(_INTERVAL)
            self.refresh()

    def refresh(self) -> None:
        """Reads again what has changed."""
        before = {name: (held.made, held.problem) for name, held in self._held.items()}
        changed = {name for name, held in self._held.items() if (_look(held).made, held.problem) != before[name]}
        if changed:
            self.news()
            for user in list(self._users.values()):
                if not changed.isdisjoint(user.names):
                    user.changed()

    def _drop_unused(self) -> None:
        used = {name for user in self._users.values() for name in user.names}
        self._held = {name: held for name, held in self._held.items() if name in used}
        if not self._held:
            self._in_use.clear()


def _look(held: _Held) -> _Held:
    """Reads the files if they are not those that were read last."""
    wanted = held.wanted
    paths = [path for path in (wanted.certificate, wanted.key, wanted.roots) if path]
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
    if wanted.roots:
        text = _text(wanted.roots)
        _certificates(wanted.roots, text)
        return roots_secret(text, wanted.name)
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
