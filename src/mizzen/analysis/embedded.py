"""YAML or JSON inside a value: the MeshConfig and the injector's settings in ConfigMaps, and MeshConfig files."""

from __future__ import annotations

from mizzen.analysis.values import Values
from mizzen.resources.yaml_documents import Document, documents


def embedded(text: str) -> Values:
    """Returns the mapping that a text holds; an empty one if it is none."""
    found = next(iter(documents(text, "")), None)
    return found.value if isinstance(found, Document) and isinstance(found.value, dict) else {}
