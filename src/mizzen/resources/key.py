"""What identifies a resource: kind, namespace and name, as in Kubernetes."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """The identity of a resource. Versions of one kind have the same schema, so the version is no part of it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
