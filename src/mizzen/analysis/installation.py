"""What belongs to an installation rather than to one resource: providers, networks, and what controllers report.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers`` (telemetry/providers.go, conditions,
multicluster/meshnetworks.go).
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements, mapping, mappings, text, texts
from mizzen.analysis.world import World
from mizzen.resources.paths import join

_REGISTRIES = frozenset({"Kubernetes", "External", "Mock"})
_REMOTE = "istio/multiCluster"


def telemetry_providers(world: World) -> Iterator[Message]:
    """IST0157 for access logs that nobody writes: without a provider, here and in the MeshConfig."""
    if texts(world.mesh_config, "defaultProviders", "accessLogging"):
        return
    for item in world.of("Telemetry"):
        for index, log in elements(item.spec, "accessLogging"):
            if not mappings(log, "providers") and log.get("disabled") is not True:
                said = "these access logs have no provider, and the MeshConfig has no default one: nothing is logged"
                yield message("IST0157", item, join("spec.accessLogging", index), said)


def networks(world: World) -> Iterator[Message]:
    """IST0126 for a network of a registry that nobody knows."""
    remote = [one for one in world.of("Secret") if one.labels.get(_REMOTE) == "true"]
    known = {*_REGISTRIES, *(key for one in remote for key in mapping(one.value, "data"))}
    for item, configured in world.istio_config("meshNetworks"):
        for name, network in mapping(configured, "networks").items():
            for endpoint in mappings(network, "endpoints"):
                registry = text(endpoint, "fromRegistry")
                if registry and registry not in known:
                    said = f"network {name} is that of the registry {registry}, of which there is no remote secret"
                    yield message("IST0126", item, "data.meshNetworks", said)


def conditions(world: World) -> Iterator[Message]:
    """IST0171 for a condition in the status of a resource that is not met."""
    # Istio sets none on an EnvoyFilter; Mizzen says in one whether its patches change something.
    for kind in ("Service", "ServiceEntry", "AuthorizationPolicy", "EnvoyFilter"):
        for item in world.of(kind):
            for index, one in elements(item.value, "status", "conditions"):
                if one.get("status") in ("False", False):
                    why = ": ".join(filter(None, (text(one, "reason"), text(one, "message"))))
                    said = f"its condition {text(one, 'type')} is false" + (f" ({why})" if why else "")
                    yield message("IST0171", item, join("status.conditions", index), said)
