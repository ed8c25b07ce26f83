"""Sidecars and Telemetries: each picks a workload, and no two of them the same one.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers`` (sidecar, telemetry, k8sgateway).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mizzen.analysis.gateways import unselected
from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import labels, mapping, mappings, selects, shown
from mizzen.analysis.workloads import Workload
from mizzen.analysis.world import World, is_ambient

_SIDECAR = ("workloadSelector", "labels")
_POLICY = ("selector", "matchLabels")
_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"


def sidecars(world: World) -> Iterator[Message]:
    """IST0101, IST0110 and IST0111 for Sidecars, and IST0167 for those in ambient mode, which have no sidecar."""
    ambient = {name for name, item in world.namespaces.items() if is_ambient(item.labels)}
    effective = [item for item in world.of("Sidecar") if item.namespace not in ambient]
    for item in world.of("Sidecar"):
        if item.namespace in ambient:
            text = f"namespace {item.namespace} is in ambient mode: its pods have no sidecar that this could configure"
            yield message("IST0167", item, "metadata.name", text)
    yield from _overlapping(world, effective, _SIDECAR, "IST0110")
    yield from _several_defaults(effective, _SIDECAR, "IST0111")


def telemetries(world: World) -> Iterator[Message]:
    """IST0101 and IST0159 for Telemetries with a selector."""
    yield from _overlapping(world, _untargeted(world, "Telemetry"), _POLICY, "IST0159")


def default_telemetries(world: World) -> Iterator[Message]:
    """IST0160 for two Telemetries without a selector in one namespace."""
    yield from _several_defaults(_untargeted(world, "Telemetry"), _POLICY, "IST0160")


def _untargeted(world: World, kind: str) -> list[Item]:
    return [item for item in world.of(kind) if not _targeted(item)]


def _targeted(item: Item) -> bool:
    return bool(mapping(item.spec, "targetRef") or mappings(item.spec, "targetRefs"))


def _overlapping(world: World, items: Sequence[Item], where: Sequence[str], code: str) -> Iterator[Message]:
    pickers: dict[Workload, list[Item]] = defaultdict(list)
    path = f"spec.{'.'.join(where)}"
    for item in items:
        selector = labels(item.spec, *where)
        if not selector:
            continue
        picked = world.selected(selector, item.namespace)
        if not picked and (world.running or world.workloads):
            yield unselected(item, selector, path)
        for workload in picked:
            pickers[workload].append(item)
    told: set[tuple[Item, tuple[str, ...]]] = set()
    for workload, found in pickers.items():
        names = tuple(item.name for item in found)
        for item in found if len(found) > 1 else ():
            if (item, names) not in told:
                told.add((item, names))
                text = f"{workload.item.shown} is selected by {', '.join(names)}: only one {item.kind} can be in force"
                yield message(code, item, path, text)


def _several_defaults(items: Sequence[Item], where: Sequence[str], code: str) -> Iterator[Message]:
    defaults: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if not labels(item.spec, *where):
            defaults[item.namespace].append(item)
    for namespace, found in defaults.items():
        for item in found if len(found) > 1 else ():
            names = ", ".join(one.name for one in found)
            text = f"{names} have no selector and are all for namespace {namespace}: only one can be in force"
            yield message(code, item, "metadata.name", text)


def gateway_selectors(world: World) -> Iterator[Message]:
    """IST0166 for a policy that picks a gateway of the Gateway API by labels: there it takes ``targetRefs``."""
    gateways: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    for workload in world.workloads:
        if name := workload.labels.get(_GATEWAY_NAME):
            gateways[workload.namespace][name] = workload.labels
    for kind in ("AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin"):
        for item in _untargeted(world, kind):
            selector = labels(item.spec, *_POLICY)
            for name, given in gateways[item.namespace].items() if selector else ():
                if selects(selector, given):
                    text = f"the selector {shown(selector)} has no effect on Gateway {name} of the Gateway API"
                    yield message("IST0166", item, "spec.selector", f"{text}; name it in `targetRefs`")
