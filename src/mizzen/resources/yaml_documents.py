"""YAML text into plain values, with the place of every field.

The documents of a text are parsed one by one, split at ``---`` lines as kubectl does, so that a syntax error in one does
not hide the others. Neighbours: ``yaml_values`` reads a document's nodes, ``decoding`` makes models of the values.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from mizzen.resources.problems import Position, Problem
from mizzen.resources.yaml_values import DEEPEST, NULL, Place, Reader, described

_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_SHORT = 64


class _Loader(_FASTEST):  # type: ignore[misc]
    """PyYAML's loader, which asks for the tag of each scalar; the same few are in all documents of a file."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> str:
        if kind is yaml.ScalarNode and len(value) <= _SHORT:
            return _tag(value, *implicit)
        return str(super().resolve(kind, value, implicit))

    def descend_resolver(self, current_node: yaml.Node, current_index: Any) -> None:
        """Does nothing: no tag of these depends on where a value stands."""

    def ascend_resolver(self) -> None:
        """As ``descend_resolver``."""


@lru_cache(maxsize=4096)
def _tag(value: str, plain: bool, quoted: bool) -> str:
    return str(_RESOLVER.resolve(yaml.ScalarNode, value, (plain, quoted)))


_SEPARATOR = re.compile(r"---(?:\s|$)")


@dataclass(frozen=True)
class Document:
    """One YAML document (or one item of a list): its value, its text, and the places of its fields by path."""

    value: Any
    line: int
    text: str = field(repr=False)
    places: dict[str, Place] = field(repr=False)
    problems: tuple[Problem, ...] = ()


def documents(text: str, file: str, first_line: int = 1) -> Iterator[Document | Problem]:
    """Yields the documents of a text, and a Problem for each that is not YAML. Empty documents are left out."""
    for offset, chunk in _split(text):
        try:
            if _too_deep(chunk):
                yield _too_deep_problem(Position(file, first_line + offset))
                continue
            nodes = list(yaml.compose_all(chunk, Loader=_Loader))
        except yaml.YAMLError as error:
            yield _syntax_problem(error, chunk, file, first_line + offset)
            continue
        except UnicodeEncodeError:
            message = "not YAML: the text contains characters that are not Unicode"
            yield Problem("YAMLSyntax", message, position=Position(file, first_line + offset))
            continue
        lines = chunk.splitlines(keepends=True)
        for node in nodes:
            if node is not None and node.tag != NULL:
                yield from _resources_of(node, lines, file, first_line + offset)


def _resources_of(node: yaml.Node, lines: list[str], file: str, first_line: int) -> Iterator[Document | Problem]:
    """Yields a document, or the items of a ``kind: List`` or ``kind: ServiceList``, each as a document of its own."""
    listed = _listed(node)
    if listed is None:
        document = _document(node, lines, file, first_line)
        yield from _unreadable(document) or [document]
        return
    for index, item in enumerate(listed.items):
        document = _document(item, lines, file, first_line)
        if unreadable := _unreadable(document):
            yield from unreadable
            continue
        if not isinstance(document.value, dict):
            yield _no_resource(document, f"items[{index}]", listed.kind)
            continue
        value = {**listed.said(document.value), **document.value}
        if len(value) > len(document.value) or "&" in document.text or "*" in document.text:
            # What an item leaves to its list, and anchors outside of it: without them its text would be no document.
            document = dataclasses.replace(document, value=value, text=json.dumps(value, indent=2) + "\n")
        yield document


def _unreadable(document: Document) -> tuple[Problem, ...]:
    """Returns why a document has no value at all, () if it has one."""
    return document.problems if document.value is None else ()


def _no_resource(document: Document, path: str, kind: str) -> Problem:
    hint = "an item is a mapping with `apiVersion`, `kind`, `metadata` and `spec`"
    message = f"the items of a {kind} are resources; this is {described(document.value)}"
    return Problem("WrongType", message, position=document.places[""].value, path=path, hint=hint)


def _document(node: yaml.Node, lines: list[str], file: str, first_line: int) -> Document:
    reader = Reader(file, first_line)
    value = reader.read(node)
    return Document(
        value, first_line + node.start_mark.line, _slice(node, lines), reader.places, tuple(reader.problems)
    )


@dataclass(frozen=True)
class _List:
    """The items of a list, with its own ``kind`` and ``apiVersion``."""

    kind: str
    api_version: str
    items: tuple[yaml.Node, ...]

    def said(self, item: dict[str, Any]) -> dict[str, Any]:
        """Returns what an item of a typed list need not say, because the list does (Kubernetes' API writes them so)."""
        if self.kind == "List" or "kind" in item:
            return {}
        return {"apiVersion": self.api_version, "kind": self.kind.removesuffix("List")}


def _listed(node: yaml.Node) -> _List | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    kind, version, items = (fields.get(name) for name in ("kind", "apiVersion", "items"))
    if not (isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List")):
        return None
    if items is None or not (isinstance(items, yaml.SequenceNode) or items.tag == NULL):
        return None
    found = items.value if isinstance(items, yaml.SequenceNode) else ()
    return _List(kind.value, version.value if isinstance(version, yaml.ScalarNode) else "", tuple(found))


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yields the documents' texts with the number of lines before each; directives stay with what follows them."""
    start, chunk, has_content = 0, list[str](), False
    for number, line in enumerate(text.splitlines(keepends=True)):
        if _SEPARATOR.match(line) and has_content:
            yield start, "".join(chunk)
            start, chunk, has_content = number, [], False
        chunk.append(line)
        # A separator counts as content: what follows it belongs to it, and the next one begins another document.
        has_content = has_content or (not line.startswith(("#", "%")) and bool(line.strip()))
    if has_content:
        yield start, "".join(chunk)


def _too_deep(chunk: str) -> bool:
    """Says whether values are nested deeper than any resource's, which libyaml answers by overrunning its stack.

    Depth takes brackets or indentation, so most texts need no look at their events.
    """
    longest = max(map(len, chunk.splitlines()), default=0)
    if chunk.count("[") + chunk.count("{") < DEEPEST and longest < DEEPEST:
        return False
    depth = 0
    for event in yaml.parse(chunk, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


def _too_deep_problem(position: Position) -> Problem:
    return Problem("YAMLSyntax", f"values are nested more than {DEEPEST} deep", position=position)


def _syntax_problem(error: yaml.YAMLError, chunk: str, file: str, first_line: int) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        what = str(error).splitlines()[0]
        return Problem(code="YAMLSyntax", message=f"not YAML: {what}", position=Position(file, first_line))
    lines = chunk.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    what = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
    return Problem(
        code="YAMLSyntax",
        message=f"not YAML: {what}",
        position=Position(file, first_line + mark.line, mark.column + 1),
        hint=_syntax_hint(what, line),
    )


def _syntax_hint(what: str, line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        return "a tab stands in the indentation; YAML allows only spaces there"
    if "mapping values are not allowed" in what:
        return "check the indentation of this line, or put quotes around a value that contains ': '"
    if "did not find expected" in what or "could not find expected" in what:
        return "check the indentation of this line and of the line above, and that each field ends with ':'"
    if "undefined alias" in what:
        return "a value that begins with * must stand in quotes"
    if "cannot start any token" in what:
        return "put quotes around the value"
    return ""


def _slice(node: yaml.Node, lines: list[str]) -> str:
    """Returns the node's text; its first line is indented to its column, so that its columns stay what they are."""
    start, end = node.start_mark, node.end_mark
    if start.line == end.line:
        return " " * start.column + lines[start.line][start.column : end.column] + "\n"
    first = " " * start.column + lines[start.line][start.column :]
    last = lines[end.line][: end.column] if end.line < len(lines) else ""
    text = "".join([first, *lines[start.line + 1 : end.line], last])
    return text.rstrip() + "\n"
