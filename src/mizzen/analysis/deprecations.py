"""What Istio will not have any more: fields, kinds, and tracers.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers`` (deprecation, telemetry/lightstep.go).
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements, mapping, mappings, number, text
from mizzen.analysis.world import World
from mizzen.resources.paths import join

_REMOVED = ("ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding")
_RBAC = "rbac.istio.io"


def deprecated(world: World) -> Iterator[Message]:
    """IST0002 for fields and kinds."""
    for item in world.of("VirtualService"):
        for index, route in elements(item.spec, "http"):
            if number(route, "fault", "delay", "percent") > 0:
                path = f"{join('spec.http', index)}.fault.delay.percent"
                yield message("IST0002", item, path, "`fault.delay.percent` is deprecated: write `percentage`")
    for item in world.of("Sidecar"):
        if mapping(item.spec, "outboundTrafficPolicy", "egressProxy"):
            path = "spec.outboundTrafficPolicy.egressProxy"
            yield message("IST0002", item, path, "`egressProxy` has no effect in Istio any more (in Mizzen it has)")
    for item in world.of("CustomResourceDefinition"):
        kind = text(item.spec, "names", "kind")
        if text(item.spec, "group") == _RBAC and kind in _REMOVED:
            yield message("IST0002", item, "spec.names.kind", f"the kind {kind} of {_RBAC} is gone from Istio")
    for kind in _REMOVED:
        for item in world.of(kind, _RBAC):
            yield message("IST0002", item, "kind", f"the kind {kind} is gone from Istio: write an AuthorizationPolicy")


def lightstep(world: World) -> Iterator[Message]:
    """IST0002 for a Telemetry that traces with Lightstep."""
    providers = mappings(world.mesh_config, "extensionProviders")
    named = {text(one, "name") for one in providers if mapping(one, "lightstep")}
    for item in world.of("Telemetry") if named else ():
        for index, tracing in elements(item.spec, "tracing"):
            for position, provider in elements(tracing, "providers"):
                if text(provider, "name") in named:
                    path = f"{join(join('spec.tracing', index) + '.providers', position)}.name"
                    yield message("IST0002", item, path, "Lightstep is deprecated as a tracer: use OpenTelemetry")
