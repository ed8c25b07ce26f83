"""How the Envoys of this node are started that no Workload asks for: those of containers, of `mizzen run`, and the node's own.

What a mesh has none of is not loaded, as resources are not a node's concern otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mizzen.registry.proxy_settings import Start, StartResource

if TYPE_CHECKING:
    from mizzen.registry.proxy_policy import StartPolicy


class Starts:
    """What was told last of how Envoys are started."""

    def __init__(self) -> None:
        self._told: tuple[tuple[StartResource, ...], str] = ((), "")
        self._policy: StartPolicy | None = None

    def take(self, resources: tuple[StartResource, ...], root: str) -> str:
        """Takes it, for those that start from now on; returns what is wrong with it, or "". Then there is what there was."""
        if (resources, root) == self._told:
            return ""
        self._told = (resources, root)
        if not resources:
            self._policy = None
            return ""
        from pydantic import ValidationError

        from mizzen.registry.proxy_policy import StartPolicy

        try:
            self._policy = StartPolicy.told(resources, root)
        except ValidationError as error:
            what = f"how proxies are to be started ({error.title})"
            return f"this version of Mizzen cannot read {what}: restart the mesh"
        return ""

    def of(self, namespace: str, workload: str, service_account: str, labels: Mapping[str, str]) -> Start:
        """Returns how the Envoy of a workload is started now; the one of a node is a workload without labels."""
        if self._policy is None:
            return Start()
        return self._policy.start(namespace, workload, service_account, tuple(sorted(labels.items())))
