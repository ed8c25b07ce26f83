"""The model of Kubernetes' core ``v1`` Service: a stable name for the workloads that its selector picks.

The published schema of a Service's specification is here; what Mizzen does not implement yet is marked. Values that the
Kubernetes API server fills in by default are accepted, so that what ``kubectl get -o yaml`` prints can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.model import Later, Many, Model, StringMap
from mizzen.resources.protocols import Protocol, protocol_of

EXPORT_ANNOTATION = "networking.istio.io/exportTo"
"""Names the namespaces that see a Service, with commas between them; what it means is as in ``exportTo`` (Istio 2.5)."""


def exported_to(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the ``exportTo`` of a Service with these annotations; empty stands for the mesh's default."""
    return tuple(name for one in annotations.get(EXPORT_ANNOTATION, "").split(",") if (name := one.strip()))


class ServicePort(Model):
    name: str = ""
    port: int
    target_port: int | str | None = None
    protocol: Annotated[Literal["TCP", "UDP", "SCTP"], Later(unless={"TCP"})] = "TCP"
    app_protocol: str | None = None
    node_port: Annotated[int | None, Later()] = None

    @property
    def speaks(self) -> Protocol:
        """What the port speaks."""
        return protocol_of(self.port, self.name, self.app_protocol)


class ClientIPConfig(Model):
    timeout_seconds: int | None = None


class SessionAffinityConfig(Model):
    client_ip: ClientIPConfig | None = Field(default=None, alias="clientIP")


class ServiceSpec(Model):
    """``selector`` picks workloads of the service's own namespace by their labels."""

    selector: StringMap = Field(default_factory=dict)
    ports: Many[ServicePort] = ()
    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], Later(unless={"ClusterIP"})] = (
        "ClusterIP"
    )
    cluster_ip: Annotated[str, Later(unless={""})] = Field(default="", alias="clusterIP")
    cluster_ips: Annotated[Many[str], Later(unless={""})] = Field(default=(), alias="clusterIPs")
    external_ips: Annotated[Many[str], Later()] = Field(default=(), alias="externalIPs")
    external_name: Annotated[str, Later()] = ""
    external_traffic_policy: Annotated[str, Later()] = ""
    internal_traffic_policy: Annotated[str, Later(unless={"Cluster"})] = "Cluster"
    health_check_node_port: Annotated[int, Later()] = 0
    ip_families: Annotated[Many[str], Later(unless={"IPv4"})] = ()
    ip_family_policy: Annotated[str, Later(unless={"SingleStack"})] = "SingleStack"
    load_balancer_class: Annotated[str, Later()] = ""
    load_balancer_ip: Annotated[str, Later()] = Field(default="", alias="loadBalancerIP")
    load_balancer_source_ranges: Annotated[Many[str], Later()] = ()
    allocate_load_balancer_node_ports: Annotated[bool | None, Later()] = None
    publish_not_ready_addresses: Annotated[bool, Later(unless={False})] = False
    session_affinity: Annotated[str, Later(unless={"None"})] = "None"
    session_affinity_config: Annotated[SessionAffinityConfig | None, Later()] = None
    traffic_distribution: Annotated[str, Later()] = ""
