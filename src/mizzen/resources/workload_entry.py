"""The model of ``networking.istio.io`` WorkloadEntry: one address behind services, by itself or inside a ServiceEntry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mizzen.resources.model import Later, Model, StringMap
from mizzen.resources.resource import Resource

TLS_MODE_LABEL = "security.istio.io/tlsMode"
"""With the value ``istio`` it says that what is at an address takes the mesh's mutual TLS (Istio 2.11)."""


class WorkloadEntrySpec(Model):
    """``ports`` are by the names of the service's ports; a weight of 0 means 1, as in Istio."""

    address: str = ""
    ports: Mapping[str, int] = Field(default_factory=dict)
    labels: StringMap = Field(default_factory=dict)
    network: Annotated[str, Later()] = ""
    locality: str = ""
    weight: int = 0
    service_account: str = ""


def labelled(entry: Resource[WorkloadEntrySpec]) -> Resource[WorkloadEntrySpec]:
    """Returns a WorkloadEntry whose labels are those in its metadata and its specification; of both the former count
    (istio/istio, ``pilot/pkg/serviceregistry/serviceentry``).
    """
    labels = {**entry.spec.labels, **entry.labels}
    spec = entry.spec.model_copy(update={"labels": labels})
    return dataclasses.replace(entry, spec=spec, labels=labels)
