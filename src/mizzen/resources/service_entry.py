"""The model of ``networking.istio.io`` ServiceEntry: services that nothing in the mesh announces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mizzen.resources.model import Many, Model, StringMap
from mizzen.resources.protocols import Protocol, protocol_of
from mizzen.resources.workload_entry import WorkloadEntrySpec

AUTO_ADDRESS_LABEL = "networking.istio.io/enable-autoallocate-ip"
"""With the value ``false`` a ServiceEntry is given no virtual address (Istio 2.17)."""


class EntryPort(Model):
    """``target_port`` is the servers' port, ``number`` unless it is given."""

    number: int = 0
    protocol: str = ""
    name: str = ""
    target_port: int = 0

    @property
    def speaks(self) -> Protocol:
        """What the port speaks."""
        return protocol_of(self.number, self.name, self.protocol)


class EntrySelector(Model):
    labels: StringMap = Field(default_factory=dict)


class ServiceEntrySpec(Model):
    """An empty ``export_to`` means every namespace."""

    hosts: Many[str] = ()
    addresses: Many[str] = ()
    ports: Many[EntryPort] = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = "NONE"
    endpoints: Many[WorkloadEntrySpec] = ()
    workload_selector: EntrySelector | None = None
    export_to: Many[str] = ()
    subject_alt_names: Many[str] = ()

    @property
    def by_name(self) -> bool:
        """Whether proxies find the endpoints by DNS."""
        return self.resolution in ("DNS", "DNS_ROUND_ROBIN")
