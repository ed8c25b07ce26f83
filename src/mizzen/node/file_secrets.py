"""Certificates beside those of identities, which users keep in files or the mesh in its store of Secrets: read, checked, and read
again when files of users change.

Whatever renews them writes two files, one after the other, or swaps a link as Kubernetes does. So a pair is served when
both fit each other, and what was served last stays until then. That the files have changed is found by looking: a watch
on a file misses swapped links, and one on a folder is woken by everything else there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.compile.names import seat_prefix
from mizzen.compile.resource import XdsResource
from mizzen.identity.secrets import certificate_secret, renamed, roots_secret
from mizzen.registry.reports import FileSecret
from mizzen.resources.certificates import read_certificates

# How often files are looked at, in seconds.
_INTERVAL = 1.0

Instance = tuple[str, str]
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
    """What an instance is to have; ``before`` is what it had, for as long as there is nothing in its place."""

    secrets: tuple[FileSecret, ...]
    before: Mapping[str, XdsResource]


@dataclass
class FileSecrets:
    """The secrets of all instances of this node.

    ``news`` is called when one has changed, and ``tell`` with a problem when it appears, and whose it is. ``system_roots`` is the
    file of the roots of the operating system, or "".
    """

    news: Callable[[], None]
    tell: Callable[[str, Sequence[Instance]], None] = lambda problem, whose: None  # noqa: ARG005 - it is reported, too
    system_roots: str = ""
    _held: dict[FileSecret, _Held] = field(default_factory=dict)
    _users: dict[Instance, _User] = field(default_factory=dict)
    _followers: dict[Instance, Callable[[], None]] = field(default_factory=dict)
    _told: frozenset[str] = frozenset()
    _together: Mapping[str, XdsResource] | None = None
    _renamed: dict[str, tuple[XdsResource, XdsResource]] = field(default_factory=dict)
    _in_use: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, wanted: Mapping[Instance, tuple[FileSecret, ...]]) -> None:
        """Serves each instance its secrets, in place of those that it had.

        One that cannot be read is what the instance had under its name.
        """
        gone = [instance for instance in self._users if instance not in wanted]
        other = {instance: of for instance, of in wanted.items() if not self._has(instance, of)}
        if not gone and not other:
            return
        self._users |= {instance: _User(of, self.of(instance)) for instance, of in other.items()}
        for instance in gone:
            del self._users[instance]
        used = {one for user in self._users.values() for one in user.secrets}
        self._held = {one: self._held.get(one) or _look(_Held(one), self.system_roots) for one in used}
        if any(one.watched for one in used):
            self._in_use.set()
        else:
            self._in_use.clear()
        self._changed([*gone, *other])

    def _has(self, instance: Instance, secrets: tuple[FileSecret, ...]) -> bool:
        user = self._users.get(instance)
        return user is not None and user.secrets == secrets

    def follow(self, instance: Instance, changed: Callable[[], None]) -> None:
        """Has ``changed`` called when an instance has other secrets, or another problem."""
        self._followers[instance] = changed

    def forget(self, instance: Instance) -> None:
        """The instance has ended: who has its name next has nothing that it had before."""
        self._followers.pop(instance, None)
        if user := self._users.get(instance):
            user.before = {}
            self._together = None

    def of(self, instance: Instance) -> Mapping[str, XdsResource]:
        """Returns the secrets of an instance by name: those that could be read."""
        if (user := self._users.get(instance)) is None:
            return {}
        found = {one.name: self._held[one].made or user.before.get(one.name) for one in user.secrets}
        return {name: made for name, made in found.items() if made}

    def of_all(self) -> Mapping[str, XdsResource]:
        """Returns the secrets of all instances, for a proxy of several: each under a name that begins with whose it is. It is the
        same object for as long as nothing changes.
        """
        if self._together is None:
            found = {
                f"{seat_prefix(f'{name}.{namespace}')}{plain}": made
                for namespace, name in self._users
                for plain, made in self.of((namespace, name)).items()
            }
            self._renamed = {name: self._rename(name, made) for name, made in found.items()}
            self._together = {name: made for name, (_, made) in self._renamed.items()}
        return self._together

    def _rename(self, name: str, secret: XdsResource) -> tuple[XdsResource, XdsResource]:
        known = self._renamed.get(name)
        return known if known and known[0] is secret else (secret, renamed(secret, name))

    def problem(self, instance: Instance) -> str:
        """Returns what is wrong with the secrets of an instance, or ""."""
        user = self._users.get(instance)
        return "; ".join(problem for one in user.secrets if (problem := self._held[one].problem)) if user else ""

    async def run(self) -> None:
        """Looks after the files until this is cancelled."""
        while True:
            await self._in_use.wait()
            await asyncio.sleep(_INTERVAL)
            self.refresh()

    def refresh(self) -> None:
        """Reads again what has changed."""
        changed = set()
        for one, held in self._held.items():
            before = held.made, held.problem
            if one.watched and (_look(held, self.system_roots).made, held.problem) != before:
                changed.add(one)
        if changed:
            self._changed([one for one, user in self._users.items() if not changed.isdisjoint(user.secrets)])

    def _changed(self, instances: Collection[Instance]) -> None:
        """Tells of what has changed for these instances."""
        for user in self._users.values():  # keys that were rotated away are forgotten
            missing = {one.name for one in user.secrets if not self._held[one].made}
            user.before = {name: made for name, made in user.before.items() if name in missing}
        self._together = None
        self.news()
        for instance in instances:
            if follower := self._followers.get(instance):
                follower()
        problems = {held.problem for held in self._held.values()} - {""}
        for problem in sorted(problems - self._told):
            concerned = {one for one, held in self._held.items() if held.problem == problem}
            self.tell(
                problem, sorted(key for key, user in self._users.items() if not concerned.isdisjoint(user.secrets))
            )
        self._told = frozenset(problems)


def _look(held: _Held, system_roots: str) -> _Held:
    """Reads the files if they are not those that were read last."""
    wanted = held.wanted
    roots = system_roots if wanted.crl and not wanted.roots else wanted.roots
    paths = [path for path in (wanted.certificate, wanted.key, roots, wanted.crl) if path]
    stamp = tuple(map(_stamp, paths))
    if stamp != held.stamp or not held.stamp:
        held.stamp = stamp
        try:
            held.made, held.problem = read(wanted, roots), ""
        except UnusableError as error:
            held.problem = str(error)
    return held


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def read(wanted: FileSecret, roots: str) -> XdsResource:
    """Returns the secret that files hold; ``roots`` is the one with its authorities, "" where there is none. Raises
    :class:`UnusableError`.
    """
    if wanted.problem:
        raise UnusableError(wanted.problem)
    if wanted.crl and not roots:
        raise UnusableError(
            "this host has no roots of its operating system: write `caCertificates`, or set SSL_CERT_FILE"
        )
    if roots:
        text = _text(roots)
        _certificates(roots, text)
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
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UnusableError(f"{path} is not in PEM form") from error


def _certificates(path: str, text: str) -> list[x509.Certificate]:
    try:
        return read_certificates(text)
    except ValueError as error:
        raise UnusableError(f"{path} holds no certificate in PEM form") from error


def _revoked(path: str) -> str:
    text = _text(path)
    try:
        x509.load_pem_x509_crl(text.encode())
    except ValueError as error:
        raise UnusableError(f"{path} holds no revocation list in PEM form") from error
    return text
