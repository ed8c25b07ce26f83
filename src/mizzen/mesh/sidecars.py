"""Which Sidecar a workload obeys (Istio 2.6): one, and they are never merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mizzen.mesh.model import Labels, Sidecar, labels_of, selects


class SidecarIndex:
    """The Sidecars of a mesh by namespace; they come sorted by age."""

    def __init__(self, sidecars: Iterable[Sidecar], root: str) -> None:
        self._root = root
        self._selecting: defaultdict[str, list[tuple[Labels, Sidecar]]] = defaultdict(list)
        self._default: dict[str, Sidecar] = {}
        for one in sidecars:
            if one.spec.workload_selector is None:
                self._default.setdefault(one.namespace, one)
            else:
                self._selecting[one.namespace].append((labels_of(one.spec.workload_selector.labels), one))

    def of(self, namespace: str, labels: Labels = ()) -> Sidecar | None:
        """Returns the Sidecar of a workload: the oldest of its namespace that selects it, else the oldest there that has no
        selector, else that of the root namespace; None where there is none of these.
        """
        for selector, one in self._selecting.get(namespace, ()):
            if selects(selector, labels):
                return one
        return self._default.get(namespace) or self._default.get(self._root)
