"""One document as the analyzers see it: which kind, whose name, its plain values, and where each field stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mizzen.analysis.values import Values, labels, mapping
from mizzen.resources.paths import parent
from mizzen.resources.problems import Position, Problem
from mizzen.resources.yaml_values import Place

CLUSTER_WIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingWebhookConfiguration",
    }
)
"""Kinds whose resources are in no namespace."""

GATEWAY_API = "gateway.networking.k8s.io"


@dataclass(frozen=True, eq=False)
class Item:
    """A resource of any kind. ``namespace`` is empty where the kind has none.

    ``file`` is "" for what nobody has written; ``problems`` is what the loader says of it, where its kind has a
    model.
    """

    group: str
    kind: str
    namespace: str
    name: str
    value: Values = field(repr=False)
    file: str = ""
    line: int = 0
    places: Mapping[str, Place] = field(default_factory=dict, repr=False)
    problems: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def spec(self) -> Values:
        return mapping(self.value, "spec")

    @property
    def labels(self) -> Mapping[str, str]:
        return labels(self.value, "metadata", "labels")

    @property
    def annotations(self) -> Mapping[str, str]:
        return labels(self.value, "metadata", "annotations")

    @property
    def full_name(self) -> str:
        """``namespace/name``, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def shown(self) -> str:
        """The way istioctl names a resource: ``VirtualService default/reviews``."""
        return f"{self.kind} {self.full_name}"

    @property
    def home(self) -> str:
        """The namespace to which messages about it belong; that of a Namespace is itself (istioctl's rule)."""
        return self.name if self.kind == "Namespace" else self.namespace

    def position(self, path: str) -> Position | None:
        """Returns where a field stands, or the nearest of its parents that is written; None without a file."""
        if not self.file:
            return None
        while path and path not in self.places:
            path = parent(path)
        place = self.places.get(path)
        return place.best if path and place else Position(self.file, self.line)
