"""Ports of Services that do not say what they speak.

Source of the conditions: istio/istio, ``analyzers/service/portname.go``. What a name means is in
``mizzen.resources.protocols``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements, number, text
from mizzen.analysis.world import SYSTEM_NAMESPACES, World, is_control_plane
from mizzen.resources.paths import join
from mizzen.resources.protocols import SERVER_FIRST, declared_protocol


def names(world: World) -> Iterator[Message]:
    """IST0118 for a port whose protocol is not known, IST0150 for one of an ExternalName service."""
    for item in world.of("Service"):
        if item.namespace in SYSTEM_NAMESPACES or is_control_plane(item.labels):
            continue
        external = text(item.spec, "type") == "ExternalName"
        for index, port in elements(item.spec, "ports"):
            name, port_number = text(port, "name"), number(port, "port")
            declared = declared_protocol(name, text(port, "appProtocol") or None) or text(port, "protocol") == "UDP"
            path = join("spec.ports", index)
            if external and (not declared or name == "tcp"):
                said = f"port {port_number} of an ExternalName service must be named after its protocol, and not tcp:"
                yield message("IST0150", item, path, f"{said} a proxy may take other hosts' connections for its own")
            elif not declared and port_number not in SERVER_FIRST:
                called = f"the name {name!r}" if name else "no name"
                said = f"port {port_number} has {called}, which says no protocol: name it `http`, `grpc`, `tcp`, ..."
                yield message("IST0118", item, path, said)
