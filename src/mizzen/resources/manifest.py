"""The envelope of every resource, as in Kubernetes: apiVersion, kind, metadata, spec.

``status`` and the metadata that a Kubernetes server sets (creationTimestamp, resourceVersion, uid, generation,
managedFields, selfLink) are accepted and have no effect, so that the output of ``kubectl get -o yaml`` can be used.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from mizzen.resources.model import Later, Many, Model, StringMap

SpecT = TypeVar("SpecT", bound=Model)


class ObjectMeta(Model):
    """Kubernetes' ObjectMeta, as far as it means something here."""

    name: str
    namespace: str = ""
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    creation_timestamp: Any = None
    resource_version: Any = None
    uid: Any = None
    generation: Any = None
    managed_fields: Any = None
    self_link: Any = None
    generate_name: Annotated[str, Later()] = ""
    finalizers: Annotated[Many[str], Later()] = ()
    owner_references: Annotated[Any, Later()] = None
    deletion_timestamp: Annotated[Any, Later()] = None
    deletion_grace_period_seconds: Annotated[Any, Later()] = None


class Manifest(Model, Generic[SpecT]):
    """One document with the specification of its kind."""

    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: SpecT
    status: Any = None
