"""The model of ``networking.istio.io`` Sidecar: what workloads may call, and how their proxies take what others send them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.destination_rule import ConnectionPoolSettings
from mizzen.resources.gateway import ServerTLSSettings
from mizzen.resources.model import Later, Many, Model, StringMap
from mizzen.resources.protocols import Protocol, declared_protocol
from mizzen.resources.virtual_service import Destination

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]
HTTP_PROXY = "HTTP_PROXY"
"""The protocol of an egress listener that takes requests for any host, as a forward proxy does."""
UNIX = "unix:"


class SidecarSelector(Model):
    labels: StringMap = Field(default_factory=dict)


class SidecarPort(Model):
    """``target_port`` is of no use in a Sidecar, in Istio neither."""

    number: int = 0
    protocol: str = ""
    name: str = ""
    target_port: int | None = None

    @property
    def speaks(self) -> Protocol:
        return declared_protocol("", self.protocol) or Protocol.TCP

    @property
    def is_forward_proxy(self) -> bool:
        return self.protocol.upper() == HTTP_PROXY


class EgressListener(Model):
    """What may be called, of the services and rules that ``hosts`` select (see :mod:`mizzen.resources.egress_hosts`).

    With a ``port`` it is for that port alone. ``bind`` is an address of its own, at which it is called.
    """

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    hosts: Many[str] = ()


class IngressListener(Model):
    """How a port of the workload is served; ``default_endpoint`` is where its application listens.

    Istio, too, takes ``tls`` only where a flag allows it, which is off.
    """

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""
    tls: Annotated[ServerTLSSettings | None, Later()] = None
    connection_pool: ConnectionPoolSettings | None = None


class SidecarTrafficPolicy(Model):
    """Where a connection may go that is for no known service. Without a mode that is nowhere, for Istio's enumeration
    begins with REGISTRY_ONLY. ALLOW_ANY_DYNAMIC_DNS is for the mesh alone, in Istio too.
    """

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class SidecarSpec(Model):
    """Without ``egress`` everything may be called; without ``outbound_traffic_policy`` the mesh's counts."""

    workload_selector: SidecarSelector | None = None
    ingress: Many[IngressListener] = ()
    egress: Many[EgressListener] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: SidecarTrafficPolicy | None = None
