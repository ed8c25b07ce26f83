"""Texts into items: documents of every kind, with what the loader says of those that have a model.

A document that is no resource is a problem of its file; one of an unknown kind is left alone, as istioctl does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.analysis.embedded import embedded
from mizzen.analysis.items import CLUSTER_WIDE, GATEWAY_API, Item
from mizzen.analysis.values import Values, mapping, number, text
from mizzen.resources.kinds import kind_of
from mizzen.resources.loading import load_document
from mizzen.resources.problems import Problem
from mizzen.resources.yaml_documents import Document, documents

GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apps",
        "batch",
        "extensions.istio.io",
        "mizzen.dev",
        "networking.istio.io",
        "rbac.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
        GATEWAY_API,
    }
)
"""The API groups whose resources say something to an analyzer."""


@dataclass(frozen=True)
class Read:
    """What came out of texts: items of known groups, and what is no resource at all."""

    items: tuple[Item, ...] = ()
    problems: tuple[Problem, ...] = ()


def read(texts: Iterable[tuple[str, str]], *, namespace: str = "default") -> Read:
    """Reads texts, each with the name of its file; ``namespace`` is for resources that name none. Nothing is raised."""
    items: list[Item] = []
    problems: list[Problem] = []
    for file, content in texts:
        for document in documents(content, file):
            if isinstance(document, Problem):
                problems.append(document)
                continue
            problems += document.problems
            found = _item(document, file, namespace)
            if isinstance(found, Problem):
                problems.append(found)
            elif found is not None:
                items.append(found)
    return Read(tuple(items), tuple(problems))


def read_values(values: Iterable[Mapping[str, Any]]) -> Iterator[Item]:
    """Yields the items of a running mesh's API, which says of each where it was written, and its text, if it was."""
    for value in values:
        group, kind, namespace, name = _identity(value, "default")
        if group in GROUPS:
            source = mapping(value, "source")
            file, line = text(source, "file"), number(source, "line")
            if not line:  # It was found, and nobody has written it.
                yield Item(group, kind, namespace, name, value)
                continue
            written = next(iter(documents(text(source, "text"), file, line)), None)
            places = written.places if isinstance(written, Document) else {}
            yield Item(group, kind, namespace, name, value, file, line, places)


def read_mesh_config(content: str) -> Values:
    """Returns the MeshConfig in a file: by itself, or in the ConfigMap ``istio``."""
    found = embedded(content)
    return embedded(text(found, "data", "mesh")) if found.get("kind") == "ConfigMap" else found


def _item(document: Document, file: str, default_namespace: str) -> Item | Problem | None:
    value = document.value
    if not isinstance(value, dict) or not text(value, "kind") or not text(value, "apiVersion"):
        place = document.places.get("")
        message = "not a resource: `apiVersion` and `kind` are missing"
        return Problem("NotAResource", message, position=place.key if place else None)
    group, kind, namespace, name = _identity(value, default_namespace)
    if group not in GROUPS:
        return None
    problems: tuple[Problem, ...] = ()
    known = kind_of(value["apiVersion"], kind)
    if known is not None and known.implemented:
        clean = dataclasses.replace(document, problems=())
        problems = tuple(load_document(clean, file, default_namespace)[1])
    return Item(group, kind, namespace, name, value, file, document.line, document.places, problems)


def _identity(value: Mapping[str, Any], default_namespace: str) -> tuple[str, str, str, str]:
    kind = text(value, "kind")
    group, slash, _ = text(value, "apiVersion").rpartition("/")
    namespace = text(value, "metadata", "namespace") or default_namespace
    name = text(value, "metadata", "name") or text(value, "metadata", "generateName")
    return (group if slash else "", kind, "" if kind in CLUSTER_WIDE else namespace, name)
