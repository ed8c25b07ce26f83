"""Text and files into resources, with every problem of every document at once.

A document with an error gives no resource; the others do. ``status`` and the metadata that a Kubernetes server sets are
accepted and ignored (see ``manifest``). Neighbours: ``yaml_documents`` reads, ``decoding`` makes models, ``validation``
applies the rules of the kinds; what concerns several resources is in ``references``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mizzen.resources.decoding import decode
from mizzen.resources.findings import Finding
from mizzen.resources.identifying import identify
from mizzen.resources.key import Key
from mizzen.resources.kinds import IMPLEMENTED, Kind
from mizzen.resources.manifest import Manifest
from mizzen.resources.paths import parent
from mizzen.resources.problems import Level, Position, Problem
from mizzen.resources.resource import Resource, Source
from mizzen.resources.secret import SecretSpec, concealed, document_of, specified, unrevealing
from mizzen.resources.unimplemented import not_implemented
from mizzen.resources.validation.rules import validate, validate_metadata
from mizzen.resources.yaml_documents import Document, documents
from mizzen.resources.yaml_values import Place
from mizzen.settings import holds_resources

# pydantic forgets a parametrised class that nothing holds, and making one takes milliseconds.
_MANIFESTS: Mapping[str, type[Manifest[Any]]] = MappingProxyType(
    {kind.kind: Manifest[kind.model] for kind in IMPLEMENTED}  # type: ignore[name-defined]
)


@dataclass(frozen=True)
class Loaded:
    """What came out of reading: the resources that can be used, and all problems, warnings among them."""

    resources: tuple[Resource[Any], ...] = ()
    problems: tuple[Problem, ...] = ()


def load(text: str, file: str, *, first_line: int = 1, default_namespace: str = "default") -> Loaded:
    """Reads YAML or JSON text with any number of documents.

    ``file`` and ``first_line`` say where the text stands, for positions. ``default_namespace`` is for resources that
    name none. Nothing is raised for any text: what is wrong is in the problems.
    """
    resources: list[Resource[Any]] = []
    problems: list[Problem] = []
    for document in documents(text, file, first_line):
        if isinstance(document, Problem):
            problems.append(document)
            continue
        resource, found = load_document(document, file, default_namespace)
        problems += found
        if resource is not None:
            resources.append(resource)
    return _without_duplicates(resources, problems)


def load_texts(texts: Iterable[tuple[str, str]], *, default_namespace: str = "default") -> Loaded:
    """Reads several texts, each with the file where it stands; a resource in two of them is a problem, as in one."""
    resources: list[Resource[Any]] = []
    problems: list[Problem] = []
    for file, text in texts:
        loaded = load(text, file, default_namespace=default_namespace)
        resources += loaded.resources
        problems += loaded.problems
    return _without_duplicates(resources, problems)


def load_paths(paths: Iterable[Path], *, default_namespace: str = "default") -> Loaded:
    """Reads files, and of directories the YAML and JSON files, in the order of their names.

    Hidden files do not count, and directories are not searched further down. A path that is missing or cannot be read
    is a problem, never an exception.
    """
    problems: list[Problem] = []
    files = dict.fromkeys(file for given in paths for file in _files(given, problems))
    texts = [(str(file), text) for file in files if (text := _text(file, problems)) is not None]
    loaded = load_texts(texts, default_namespace=default_namespace)
    return Loaded(loaded.resources, (*problems, *loaded.problems))


def digest(key: Key, manifest: Manifest[Any]) -> str:
    """Returns 16 hexadecimal digits over all that a resource says; comments, order and formatting do not count."""
    said = [
        *key,
        dict(manifest.metadata.labels),
        dict(manifest.metadata.annotations),
        manifest.spec.to_document(),
    ]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def load_document(document: Document, file: str, default_namespace: str) -> tuple[Resource[Any] | None, list[Problem]]:
    """Reads one document of ``file``: its resource, if it can be used, and all that is wrong with it."""
    kind, key, findings = identify(document.value, default_namespace)
    if kind is not None and kind.flat:
        document = specified(document)
    problems = [dataclasses.replace(problem, resource=key) for problem in document.problems]
    manifest: Manifest[Any] | None = None
    if kind is not None and kind.model is not None:
        decoded = decode(_MANIFESTS[kind.kind], document.value, document.places)
        findings += unrevealing(decoded.findings) if kind.flat else decoded.findings
        if decoded.usable is not None:
            findings += not_implemented(decoded.usable.metadata, "metadata", "Kubernetes")
            findings += not_implemented(decoded.usable.spec, "spec", kind.fields_api)
            findings += validate_metadata(decoded.usable.metadata, decoded.usable.spec)
        manifest = decoded.manifest
        if manifest is not None:
            namespace = key.namespace if key else default_namespace
            findings += _check(manifest, namespace, decoded.findings, document.places)
    problems += [_problem(finding, kind, key, document.places) for finding in findings]
    problems.sort(key=lambda problem: problem.position or Position("", 0))
    if manifest is None or key is None or any(problem.level is Level.ERROR for problem in problems):
        return None, problems
    return _resource(key, manifest, document, file), problems


def _resource(key: Key, manifest: Manifest[Any], document: Document, file: str) -> Resource[Any]:
    text, private = document.text, dict[str, str]()
    if isinstance(manifest.spec, SecretSpec):
        metadata, spec, keys = concealed(manifest.metadata, manifest.spec)
        manifest = manifest.model_copy(update={"metadata": metadata, "spec": spec})
        text, private = document_of(metadata, spec, key.namespace), dict(keys)
    positions = {path: place.best for path, place in document.places.items()}
    return Resource(
        key=key,
        api_version=manifest.api_version,
        digest=digest(key, manifest),
        spec=manifest.spec,
        labels=manifest.metadata.labels,
        annotations=manifest.metadata.annotations,
        source=Source(file, document.line, text, positions),
        private=private,
    )


def _check(
    manifest: Manifest[Any], namespace: str, unknown: list[Finding], places: Mapping[str, Place]
) -> list[Finding]:
    """Returns what the rules say, but not what is missed where a field is unknown: that may be the missing one."""
    parents = {parent(finding.path) for finding in unknown}
    return [
        finding
        for finding in validate(manifest.spec, namespace)
        if finding.path not in parents and (finding.path in places or parent(finding.path) not in parents)
    ]


def _problem(finding: Finding, kind: Kind | None, key: Key | None, places: dict[str, Place]) -> Problem:
    return Problem(
        code=finding.code or _usual_code(kind, finding.level),
        message=_with_other(finding, places),
        level=finding.level,
        position=_position(finding, places),
        resource=key,
        path=finding.path.removeprefix("spec.") if kind and kind.flat else finding.path,
        hint=finding.hint,
        in_vain=finding.in_vain,
    )


def _with_other(finding: Finding, places: Mapping[str, Place]) -> str:
    """Returns the message, with the place of the other field that it is about."""
    place = places.get(finding.other) if finding.other else None
    return f"{finding.message}; see {place.key}" if place else finding.message


def _usual_code(kind: Kind | None, level: Level) -> str:
    if kind is None or kind.api != "Istio":
        return "InvalidValue"
    return "IST0106" if level is Level.ERROR else "IST0133"


def _position(finding: Finding, places: dict[str, Place]) -> Position | None:
    path = finding.path
    if path in places:
        place = places[path]
        return place.key if finding.code == "UnknownField" else place.best
    while path and path not in places:
        path = parent(path)
    place = places.get(path) or places[""]
    return place.key


def _without_duplicates(resources: list[Resource[Any]], problems: list[Problem]) -> Loaded:
    """Refuses a resource that was read before, in this text or another; the first stays."""
    first: dict[Key, Resource[Any]] = {}
    refused: list[Problem] = []
    for resource in resources:
        known = first.setdefault(resource.key, resource)
        if known is not resource:
            here, there = resource.source.position("metadata.name"), known.source.position("metadata.name")
            message = f"it is written twice: at {there} and at {here}"
            hint = "keep one of them, or give one another name or namespace"
            refused.append(resource.problem("DuplicateResource", "metadata.name", message, hint))
    return Loaded(tuple(first.values()), (*problems, *refused))


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(entry for entry in path.iterdir() if holds_resources(entry) and entry.is_file())
    except OSError as error:
        problems.append(_unreadable(path, error.strerror or str(error)))
        return []
    if not found:
        message = f"{path}: no file ends in .yaml, .yml or .json"
        problems.append(Problem("NoResources", message, Level.WARNING))
    return found


def _text(path: Path, problems: list[Problem]) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = Problem(
            "YAMLSyntax", "the file is not UTF-8 text", position=Position(str(path), line), hint="save it as UTF-8"
        )
        problems.append(problem)
    except OSError as error:
        problems.append(_unreadable(path, error.strerror or str(error)))
    return None


def _unreadable(path: Path, why: str) -> Problem:
    return Problem("NotReadable", f"{path}: {why}")
