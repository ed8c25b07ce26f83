"""Patches of clusters (Istio 2.19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.compile.patches import matching
from mizzen.compile.patches.patch import Patch, Patched, Patches, PatchId, changed
from mizzen.compile.patches.places import ClusterPlace
from mizzen.compile.resource import XdsResource
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster

TARGETS = frozenset({"CLUSTER"})
_SOCKET = ("transport_socket", "transportSocket")


@dataclass(frozen=True)
class ClusterView:
    """Everything that a patched cluster depends on; the patches are those for it."""

    resource: XdsResource
    patches: Patches


def for_cluster(patches: Patches, place: ClusterPlace) -> Patches:
    """Returns those patches that change a cluster that there is."""
    return tuple(one for one in patches if one.operation != "ADD" and matching.at_cluster(one, place))


def patch_cluster(view: ClusterView) -> Patched:
    cluster = Cluster.FromString(view.resource.body)
    hits: set[PatchId] = set()
    for patch in view.patches:
        if patch.operation == "REMOVE":
            return Patched(None, frozenset({*hits, patch.id}))
        if _merge(cluster, patch):
            hits.add(patch.id)
    return changed(view.resource, cluster, hits)


def _merge(cluster: Cluster, patch: Patch) -> bool:
    """Merges a patch; where a cluster has a socket for each kind of endpoint, its socket goes into the one of its name."""
    socket = next((patch.value[name] for name in _SOCKET if name in patch.value), None)
    if socket is None or not cluster.transport_socket_matches:
        patch.merge_into(cluster)
        return True
    rest: Mapping[str, Any] = {name: one for name, one in patch.value.items() if name not in _SOCKET}
    alike = [one for one in cluster.transport_socket_matches if one.transport_socket.name == socket.get("name")]
    if alike:
        patch.merge_into(alike[0].transport_socket, socket)
    patch.merge_into(cluster, rest)
    return bool(alike or rest)
