"""All the rules for one resource by itself, by its kind."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.findings import Finding
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.manifest import ObjectMeta
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.model import Model
from mizzen.resources.paths import join
from mizzen.resources.service import ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.validation import names
from mizzen.resources.validation.destination_rule import destination_rule
from mizzen.resources.validation.gateway import gateway
from mizzen.resources.validation.mesh_config import mesh_config
from mizzen.resources.validation.service import service
from mizzen.resources.validation.service_entry import service_entry
from mizzen.resources.validation.sidecar import sidecar
from mizzen.resources.validation.virtual_service import virtual_service
from mizzen.resources.validation.workload import workload
from mizzen.resources.validation.workload_entry import workload_entry
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec


def validate(spec: Model, namespace: str) -> Iterator[Finding]:
    """Yields what the rules of its kind have to say about the specification of a resource in ``namespace``."""
    match spec:
        case VirtualServiceSpec():
            yield from virtual_service(spec, namespace)
        case DestinationRuleSpec():
            yield from destination_rule(spec, namespace)
        case MeshConfigSpec():
            yield from mesh_config(spec)
        case GatewaySpec():
            yield from gateway(spec)
        case ServiceSpec():
            yield from service(spec)
        case ServiceEntrySpec():
            yield from service_entry(spec, namespace)
        case SidecarSpec():
            yield from sidecar(spec, namespace)
        case WorkloadSpec():
            yield from workload(spec)
        case WorkloadEntrySpec():
            yield from workload_entry("spec", spec)
        case _:
            raise TypeError(f"no rules for {type(spec).__name__}")


def validate_metadata(metadata: ObjectMeta, spec: Model) -> Iterator[Finding]:
    """Yields what is wrong with a resource's names, labels and annotations."""
    # A Service's and a Workload's name become part of host names.
    in_hosts = isinstance(spec, ServiceSpec | WorkloadSpec)
    yield from names.resource_name("metadata.name", metadata.name, label=in_hosts)
    if metadata.namespace:
        yield from names.resource_name("metadata.namespace", metadata.namespace, label=True)
    yield from names.labels("metadata.labels", metadata.labels)
    for key in metadata.annotations:
        yield from names.label_key(join("metadata.annotations", key), key)
