"""How VirtualServices name Gateways: ``name`` in their own namespace, ``namespace/name`` in another (Istio 2.1)."""

from __future__ import annotations

from collections.abc import Collection

MESH = "mesh"
"""The name that stands for the mesh's sidecars, and is never a Gateway's."""


def for_mesh(gateways: Collection[str]) -> bool:
    """Tells whether a VirtualService that names these concerns the mesh's sidecars, and not gateways alone."""
    return not gateways or MESH in gateways


def gateway_name(written: str, namespace: str) -> str:
    """Returns ``namespace/name`` of the Gateway that a resource of ``namespace`` names, or ``mesh``.

    The old form ``name.namespace.svc...`` is understood, as in Istio.
    """
    if written == MESH:
        return MESH
    home, slash, name = written.rpartition("/")
    if slash:
        return f"{namespace if home == '.' else home}/{name}"
    if "." in name:
        name, _, rest = name.partition(".")
        return f"{rest.partition('.')[0]}/{name}"
    return f"{namespace}/{name}"
