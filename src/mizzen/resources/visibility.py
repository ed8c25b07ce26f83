"""Who may see a resource: ``exportTo`` (Istio 2.5)."""

from __future__ import annotations

import enum
from collections.abc import Collection

PUBLIC = "*"
PRIVATE = "."
NOBODY = "~"


class Visibility(enum.IntEnum):
    """How a resource is visible to a namespace, nearest first: the order in which Istio looks."""

    PRIVATE = 0
    NAMED = 1
    PUBLIC = 2


def visibility(export_to: Collection[str], namespace: str, client: str) -> Visibility | None:
    """Returns how a resource of ``namespace`` is visible to the namespace ``client``, or None if it is not.

    An empty list means the mesh's default, which is public.
    """
    if not export_to or PUBLIC in export_to:
        return Visibility.PUBLIC
    if NOBODY in export_to:
        return None
    if client == namespace and (PRIVATE in export_to or namespace in export_to):
        return Visibility.PRIVATE
    return Visibility.NAMED if client in export_to else None


def seen_by(export_to: Collection[str], namespace: str) -> frozenset[str] | None:
    """Returns the namespaces to which a resource of ``namespace`` is visible; None stands for all."""
    if not export_to or PUBLIC in export_to:
        return None
    return frozenset(namespace if name == PRIVATE else name for name in export_to if name != NOBODY)


def is_private(export_to: Collection[str], namespace: str) -> bool:
    """Tells whether no namespace but its own sees a resource."""
    seen = seen_by(export_to, namespace)
    return seen is not None and seen <= {namespace}


def service_id(host: str, namespace: str, export_to: Collection[str]) -> str:
    """Returns what tells a service from all others: its host, or for a private one the namespace, too.

    So a namespace may have a service of its own by a name that means another one elsewhere (Istio keeps services by host and
    namespace).
    """
    return f"{namespace}/{host}" if is_private(export_to, namespace) else host


def meet(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    """Tells whether some namespace is among both of what :func:`seen_by` returned."""
    if one is None or other is None:
        return one != frozenset() and other != frozenset()
    return not one.isdisjoint(other)
