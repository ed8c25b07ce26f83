"""The model of ``networking.istio.io`` WorkloadEntry: one address behind a service, inside a ServiceEntry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mizzen.resources.model import Later, Model, StringMap

TLS_MODE_LABEL = "security.istio.io/tlsMode"
"""With the value ``istio`` it says that what is at an address takes the mesh's mutual TLS (Istio 2.11)."""


class WorkloadEntrySpec(Model):
    """``ports`` are by the names of the service's ports; a weight of 0 means 1, as in Istio."""

    address: str = ""
    ports: Mapping[str, int] = Field(default_factory=dict)
    labels: StringMap = Field(default_factory=dict)
    network: Annotated[str, Later()] = ""
    locality: Annotated[str, Later()] = ""
    weight: int = 0
    service_account: str = ""
