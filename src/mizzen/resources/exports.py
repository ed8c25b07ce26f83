"""Who may see what is written: ``exportTo``, as far as a check of resources needs it (Istio 2.5)."""

from __future__ import annotations

from collections.abc import Collection


def visible(namespace: str, export_to: Collection[str], client: str) -> bool:
    """Tells whether a resource of ``namespace`` is visible to the namespace ``client``."""
    if not export_to or "*" in export_to:
        return True
    own = namespace == client
    return "~" not in export_to and (client in export_to or (own and "." in export_to))
