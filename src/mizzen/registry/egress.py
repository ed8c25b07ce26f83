"""What nodes are told of Sidecars: which instances may not call all services by name. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from mizzen.mesh.model import Sidecar, labels_of
from mizzen.mesh.sidecars import SidecarIndex
from mizzen.registry.reports import EgressNames, Instance


def egress_names(sidecars: Collection[Sidecar], instances: Iterable[Instance], root: str) -> tuple[EgressNames, ...]:
    """Returns what instances may call that obey a Sidecar with egress listeners; ``sidecars`` come sorted by age."""
    if not sidecars:
        return ()
    index = SidecarIndex(sidecars, root)
    obeying: defaultdict[tuple[str, tuple[tuple[int, tuple[str, ...]], ...]], list[str]] = defaultdict(list)
    for one in instances:
        sidecar = None if one.gateway else index.of(one.namespace, labels_of(one.labels))
        if sidecar and sidecar.spec.egress:
            hosts = tuple(
                (each.port.number if each.port and not each.port.is_forward_proxy else 0, each.hosts)
                for each in sidecar.spec.egress
            )
            obeying[one.namespace, hosts].append(one.name)
    return tuple(
        EgressNames(namespace=namespace, instances=tuple(sorted(names)), hosts=hosts)
        for (namespace, hosts), names in sorted(obeying.items())
    )
