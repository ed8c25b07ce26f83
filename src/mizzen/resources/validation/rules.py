"""All the rules for one resource by itself, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.findings import Finding, unsupported
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.manifest import ObjectMeta
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.model import Model
from mizzen.resources.paths import join
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.rate_limit import RateLimitSpec
from mizzen.resources.secret import SecretSpec
from mizzen.resources.service import EXPORT_ANNOTATION, ServiceSpec, exported_to
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.validation import names
from mizzen.resources.validation.destination_rule import destination_rule
from mizzen.resources.validation.envoy_filter import envoy_filter
from mizzen.resources.validation.gateway import gateway
from mizzen.resources.validation.mesh_config import mesh_config
from mizzen.resources.validation.proxy_config import proxy_config
from mizzen.resources.validation.rate_limit import rate_limit
from mizzen.resources.validation.service import service
from mizzen.resources.validation.service_entry import service_entry
from mizzen.resources.validation.sidecar import sidecar
from mizzen.resources.validation.virtual_service import virtual_service
from mizzen.resources.validation.workload import workload
from mizzen.resources.validation.workload_entry import workload_entry
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec

_PROXY_CONFIG = "proxy.istio.io/config"


def validate(spec: Model, namespace: str) -> Iterator[Finding]:
    """Yields what the rules of its kind have to say about the specification of a resource in ``namespace``."""
    yield from _RULES[type(spec)](spec, namespace)


def _alone(rules: Callable[[Any], Iterator[Finding]]) -> _Rules:
    """Returns rules for which the namespace does not matter."""
    return lambda spec, _namespace: rules(spec)


def _secret(spec: SecretSpec) -> Iterator[Finding]:
    # Its checks need a library that takes a while to load, and most meshes have none.
    from mizzen.resources.validation.secret import secret

    yield from secret(spec)


def _workload_entry(spec: WorkloadEntrySpec) -> Iterator[Finding]:
    yield from workload_entry("spec", spec)


_Rules: TypeAlias = Callable[[Any, str], Iterator[Finding]]
_RULES: Mapping[type[Model], _Rules] = {
    DestinationRuleSpec: destination_rule,
    EnvoyFilterSpec: _alone(envoy_filter),
    GatewaySpec: _alone(gateway),
    MeshConfigSpec: _alone(mesh_config),
    ProxyConfigSpec: _alone(proxy_config),
    RateLimitSpec: _alone(rate_limit),
    SecretSpec: _alone(_secret),
    ServiceEntrySpec: service_entry,
    ServiceSpec: _alone(service),
    SidecarSpec: sidecar,
    VirtualServiceSpec: virtual_service,
    WorkloadEntrySpec: _alone(_workload_entry),
    WorkloadSpec: _alone(workload),
}


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
    if isinstance(spec, ServiceSpec):
        where = join("metadata.annotations", EXPORT_ANNOTATION)
        yield from names.export_to(where, exported_to(metadata.annotations), metadata.namespace)
    if isinstance(spec, WorkloadSpec) and _PROXY_CONFIG in metadata.annotations:
        message = f"the annotation {_PROXY_CONFIG} is part of Istio's API but not implemented"
        hint = "write a ProxyConfig whose `selector` picks this workload; in Istio it ranks above the annotation"
        yield unsupported("metadata", "ObjectMeta.annotations", message, hint, key=_PROXY_CONFIG)
