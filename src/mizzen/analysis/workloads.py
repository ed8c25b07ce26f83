"""What has labels to select: pods, the pods that a Deployment and its like will make, and Mizzen's Workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.values import Values, labels, mapping, mappings, number, text

_TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("template",),
    ("apps", "StatefulSet"): ("template",),
    ("apps", "DaemonSet"): ("template",),
    ("apps", "ReplicaSet"): ("template",),
    ("batch", "Job"): ("template",),
    ("batch", "CronJob"): ("jobTemplate", "spec", "template"),
}
PROXY = "istio-proxy"
"""The name that Istio gives a sidecar's container."""

_INJECT = "sidecar.istio.io/inject"


@dataclass(frozen=True, eq=False)
class Workload:
    """``pod`` is the specification of its pods, where it has one."""

    item: Item
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    pod: Values

    @property
    def namespace(self) -> str:
        return self.item.namespace

    @property
    def containers(self) -> list[Values]:
        return [*mappings(self.pod, "containers"), *mappings(self.pod, "initContainers")]

    @property
    def joins(self) -> bool | None:
        """Whether it says itself that it is in the mesh, or is not; None leaves it to its namespace."""
        if self.item.kind in {"Workload", "WorkloadEntry", "WorkloadGroup"}:
            return True
        if any(text(one, "name") == PROXY and text(one, "image") for one in self.containers):
            return True
        said = self.labels.get(_INJECT, self.annotations.get(_INJECT))
        if said is None and self.annotations.get("ambient.istio.io/redirection") == "enabled":
            return True
        return None if said is None else said.lower() == "true"

    @property
    def opens_ports(self) -> bool:
        """Whether it is a gateway that Mizzen runs: it opens the ports of its Gateways on its host, without a Service."""
        return self.item.group == "mizzen.dev" and "gateway" in self.item.spec

    def port(self, name: str) -> int:
        """Returns the number of a named port; 0 if there is none."""
        ports = [port for one in self.containers for port in mappings(one, "ports")]
        ports += mappings(self.item.spec, "ports")
        return next((number(port, "containerPort") for port in ports if text(port, "name") == name), 0)


def workload_of(item: Item) -> Workload | None:
    """Returns an item as what its labels select; None if it is nothing of the kind."""
    value = item.value
    if (item.group, item.kind) == ("", "Pod"):
        return Workload(item, item.labels, item.annotations, item.spec)
    if (item.group, item.kind) in _TEMPLATES:
        template = mapping(value, "spec", *_TEMPLATES[item.group, item.kind])
        return Workload(
            item,
            labels(template, "metadata", "labels"),
            labels(template, "metadata", "annotations"),
            mapping(template, "spec"),
        )
    if item.group == "mizzen.dev" and item.kind == "Workload":
        return Workload(item, item.labels, item.annotations, {})
    if item.group == "networking.istio.io" and item.kind == "WorkloadEntry":
        return Workload(item, labels(value, "spec", "labels"), item.annotations, {})
    if item.group == "networking.istio.io" and item.kind == "WorkloadGroup":
        return Workload(item, labels(value, "spec", "metadata", "labels"), item.annotations, {})
    return None
