"""The one MeshConfig of a mesh, and what it says for other resources: who sees those that do not say it. Pure.

Defaults for ``exportTo`` (Istio 1.11, 2.5) are written into the resources before anything else is asked, so that they count
wherever visibility does.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.resources.service import EXPORT_ANNOTATION, ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.virtual_service import VirtualServiceSpec


def mesh_configs(resources: Iterable[Resource[Any]]) -> list[Resource[MeshConfigSpec]]:
    """Returns the MeshConfigs, the oldest first, which is the one that counts."""
    found = (one for one in resources if type(one.spec) is MeshConfigSpec)
    return sorted(found, key=lambda one: one.age)


def several(resources: Iterable[Resource[Any]]) -> Iterator[Problem]:
    """Yields an error for each MeshConfig but the oldest."""
    for later in (first := mesh_configs(resources))[1:]:
        message = f"a mesh has one MeshConfig, and {first[0].key} at {first[0].source.position()} is there already"
        hint = "put all into one, or delete one of them"
        yield later.problem("SeveralMeshConfigs", "", message, hint)


def with_export_defaults(resources: Iterable[Resource[Any]]) -> list[Resource[Any]]:
    """Returns the resources, with the mesh's default in each that has no ``exportTo`` of its own."""
    resources = list(resources)
    mesh = next(iter(mesh_configs(resources)), None)
    if mesh is None or not any(_defaults(mesh.spec)):
        return resources
    return [_exported(one, mesh.spec) for one in resources]


def _defaults(mesh: MeshConfigSpec) -> tuple[tuple[str, ...], ...]:
    return (
        mesh.default_service_export_to,
        mesh.default_virtual_service_export_to,
        mesh.default_destination_rule_export_to,
    )


def _exported(resource: Resource[Any], mesh: MeshConfigSpec) -> Resource[Any]:
    services, virtual_services, rules = _defaults(mesh)
    match resource.spec:
        case ServiceSpec():
            return _annotated(resource, services)
        case ServiceEntrySpec():
            return _completed(resource, services)
        case VirtualServiceSpec():
            return _completed(resource, virtual_services)
        case DestinationRuleSpec():
            return _completed(resource, rules)
        case _:
            return resource


def _completed(resource: Resource[Any], default: Sequence[str]) -> Resource[Any]:
    if not default or resource.spec.export_to:
        return resource
    spec = resource.spec.model_copy(update={"export_to": tuple(default)})
    return dataclasses.replace(resource, spec=spec, digest=_digest(resource, default))


def _annotated(resource: Resource[Any], default: Sequence[str]) -> Resource[Any]:
    if not default or EXPORT_ANNOTATION in resource.annotations:
        return resource
    annotations = {**resource.annotations, EXPORT_ANNOTATION: ",".join(default)}
    return dataclasses.replace(resource, annotations=annotations, digest=_digest(resource, default))


def _digest(resource: Resource[Any], default: Sequence[str]) -> str:
    """Returns the digest of what says something else than its text alone."""
    return hashlib.sha256(f"{resource.digest} {' '.join(default)}".encode()).hexdigest()[:16]
