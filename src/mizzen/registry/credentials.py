"""Where the contents of Secrets are for a proxy: files of the control plane's own store, on the same host. Pure.

A proxy gets Secrets of its own namespace alone; which of these says :mod:`mizzen.registry.secrets`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.registry.reports import FileSecret
from mizzen.resources.credentials import roots_candidates, roots_name
from mizzen.resources.resource import Resource
from mizzen.resources.secret import CRL, SecretSpec
from mizzen.resources.secret_names import certificate_name


@dataclass(frozen=True)
class Credentials:
    """The Secrets of a mesh by namespace and name; what they hold is below ``folder``."""

    folder: str = ""
    secrets: Mapping[tuple[str, str], Resource[SecretSpec]] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource[Any]], folder: str) -> Credentials:
        return cls(folder, {(one.namespace, one.name): one for one in resources if isinstance(one.spec, SecretSpec)})

    def certificate(self, namespace: str, secret: str) -> FileSecret:
        """Returns where a proxy of a namespace finds a certificate; with what is wrong, if it does not."""
        name = certificate_name(secret)
        found = self.secrets.get((namespace, secret))
        if found is None:
            return FileSecret(name=name, problem=f"there is no Secret {secret} in namespace {namespace}")
        if found.spec.pair is None:
            return FileSecret(name=name, problem=f"Secret {secret} in namespace {namespace} holds no certificate")
        certificate, key = (self._file(found.spec, part) for part in found.spec.pair)
        return FileSecret(name=name, certificate=certificate, key=key, watched=False)

    def roots(self, namespace: str, secret: str) -> FileSecret:
        """Returns where a proxy of a namespace finds the authorities that go with a Secret."""
        name, candidates = roots_name(secret), roots_candidates(secret)
        found = next((one for each in candidates if (one := self.secrets.get((namespace, each)))), None)
        if found is None:
            missing = " nor ".join(candidates)
            return FileSecret(name=name, problem=f"there is neither Secret {missing} in namespace {namespace}")
        if not found.spec.roots:
            return FileSecret(name=name, problem=f"Secret {found.name} in namespace {namespace} holds no authorities")
        crl = self._file(found.spec, CRL) if CRL in found.spec.contents else ""
        return FileSecret(name=name, roots=self._file(found.spec, found.spec.roots), crl=crl, watched=False)

    def _file(self, spec: SecretSpec, name: str) -> str:
        return posixpath.join(self.folder, spec.content_digest, name)
