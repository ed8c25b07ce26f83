"""What runs: services that disagree about a workload's ports, and the user that is the proxy's own.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/deployment``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, at, elements, mapping, mappings, number, text
from mizzen.analysis.workloads import PROXY, Workload, workload_of
from mizzen.analysis.world import World, is_control_plane
from mizzen.resources.paths import join

_PROXY_USER = 1337
_MANAGED_BY_MESH = "istio.io-mesh-controller"


def services(world: World) -> Iterator[Message]:
    """IST0116 for one port with two protocols, IST0137 for one port of the pods behind two of services."""
    for item in world.of("Deployment"):
        workload = workload_of(item)
        if workload is None or item.labels.get("gateway.istio.io/managed") == _MANAGED_BY_MESH:
            continue
        if world.in_mesh(workload):
            found = world.services_of(workload)
            yield from _protocols(workload, found)
            yield from _targets(workload, found)


def _protocols(workload: Workload, found: Sequence[Item]) -> Iterator[Message]:
    ports: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for service in found:
        for port in mappings(service.spec, "ports"):
            ports[number(port, "port")][text(port, "protocol") or "TCP"].append(service.name)
    for port_number, protocols in ports.items():
        if len(protocols) > 1:
            listed = ", ".join(f"{name} ({protocol})" for protocol, names in protocols.items() for name in names)
            said = f"the services that select it have port {port_number} with different protocols: {listed}"
            yield message("IST0116", workload.item, "metadata.name", said)


def _targets(workload: Workload, found: Sequence[Item]) -> Iterator[Message]:
    targets: dict[str, dict[int, str]] = defaultdict(dict)
    for service in found:
        for port in mappings(service.spec, "ports"):
            targets[str(at(port, "targetPort") or number(port, "port"))][number(port, "port")] = service.name
    for target, ports in targets.items():
        if len(ports) > 1:
            listed = ", ".join(f"{name}:{port}" for port, name in sorted(ports.items()))
            said = f"its port {target} is behind different ports of services ({listed}): a sidecar takes one of them"
            yield message("IST0137", workload.item, "metadata.name", said)


def users(world: World) -> Iterator[Message]:
    """IST0144 for an application that runs as the user whose traffic is not captured."""
    for kind, path in (("Pod", "spec"), ("Deployment", "spec.template.spec")):
        for item in world.of(kind):
            if not is_control_plane(item.labels):
                yield from _users(item, path, mapping(item.value, *path.split(".")))


def _users(item: Item, path: str, pod: Values) -> Iterator[Message]:
    said = f"it runs as user {_PROXY_USER}, which is the sidecar's: its traffic would not be captured"
    if number(pod, "securityContext", "runAsUser") == _PROXY_USER:
        yield message("IST0144", item, f"{path}.securityContext.runAsUser", said)
    for index, container in elements(pod, "containers"):
        application = text(container, "name") not in {PROXY, "istio-operator"}
        if application and number(container, "securityContext", "runAsUser") == _PROXY_USER:
            where = f"{join(f'{path}.containers', index)}.securityContext.runAsUser"
            yield message("IST0144", item, where, said)
