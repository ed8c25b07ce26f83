"""The nodes of one YAML document into plain values, with the place of every field.

Values follow Kubernetes' reading of YAML: booleans of YAML 1.1 (``yes``, ``on``), keys that are numbers become text,
timestamps stay text. Neighbours: ``yaml_documents`` makes nodes of text.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import yaml

from mizzen.resources.paths import join
from mizzen.resources.problems import Position, Problem

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
NULL = _TAG + "null"
_TEXT = _TAG + "str"
_TAGS = frozenset(_TAG + name for name in ["null", "bool", "int", "float", "str", "timestamp", "value", "map", "seq"])
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NUMBERS_BEGIN = frozenset("+-.0123456789")
_TRUE = frozenset({"y", "yes", "true", "on"})
_SHORT_BOOLEANS = frozenset({"y", "Y", "n", "N"})

# Aliases can make a short text a huge value ("billion laughs"); nobody means this many fields by them.
_MOST_REPEATED = 100_000
# Digits; Python refuses to read or write whole numbers of some thousands, and a problem should fit a line.
_LONGEST_NUMBER = 100
DEEPEST = 100
"""How deep values may be nested; no resource comes near it."""


class Place(NamedTuple):
    """Where a field stands: its key (or its list item), its value, and the value as written if it is plain text."""

    key: Position
    value: Position
    written: str | None = None

    @property
    def best(self) -> Position:
        """The place to show for what is wrong with the value: a scalar's own, a mapping's or list's key."""
        return self.value if self.written is not None else self.key


class _EndlessError(Exception):
    """Aliases repeat without end; where that was noticed."""

    def __init__(self, position: Position, path: str) -> None:
        super().__init__()
        self.position = position
        self.path = path


class Reader:
    """Reads the nodes of one document into values, noting each field's place."""

    def __init__(self, file: str, first_line: int) -> None:
        self._file = file
        self._first_line = first_line
        self.places: dict[str, Place] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._repeated = 0

    def read(self, node: yaml.Node) -> Any:
        """Returns the value of a document's node; ``places`` and ``problems`` then say the rest.

        It is None where aliases repeat without end: what else would be said of a part of it would be wrong.
        """
        try:
            return self._value(node, "", self._position(node))
        except _EndlessError as endless:
            message = "the aliases (*) of this document repeat without end"
            self.problems.append(Problem("YAMLSyntax", message, position=endless.position, path=endless.path))
            return None

    def _position(self, node: yaml.Node) -> Position:
        mark = node.start_mark
        return Position(self._file, self._first_line + mark.line, mark.column + 1)

    def _problem(self, code: str, message: str, node: yaml.Node, path: str, hint: str = "") -> None:
        self.problems.append(Problem(code, message, position=self._position(node), path=path, hint=hint))

    def _value(self, node: yaml.Node, path: str, key: Position) -> Any:
        if id(node) in self._seen:
            self._repeated += 1
        self._seen.add(id(node))
        written = node.value if isinstance(node, yaml.ScalarNode) else None
        self.places[path] = Place(key, self._position(node), written)
        if node.tag not in _TAGS:
            self._problem("YAMLSyntax", f"the tag {node.tag} has no meaning here", node, path, "remove it")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open or self._repeated > _MOST_REPEATED or len(self._open) > DEEPEST:
            raise _EndlessError(self._position(node), path)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _sequence(self, node: yaml.Node, path: str) -> list[Any]:
        return [self._value(item, join(path, index), self._position(item)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        written: dict[str, Position] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            position = self._position(key_node)
            if key in written:
                where = f"line {written[key].line}"
                self._problem(
                    "DuplicateKey",
                    f"the key {key!r} is written twice; the first is in {where}",
                    key_node,
                    join(path, key),
                    "keep one of them",
                )
                continue
            written[key] = position
            result[key] = self._value(value_node, join(path, key), position)
        for source in merged:
            self._merge(source, path, result)
        return result

    def _merge(self, source: yaml.Node, path: str, into: dict[str, Any]) -> None:
        """Adds what ``<<`` brings and the mapping does not say itself."""
        for node in source.value if isinstance(source, yaml.SequenceNode) else [source]:
            if not isinstance(node, yaml.MappingNode):
                self._problem("YAMLSyntax", "<< takes a mapping, or a list of mappings", node, path)
                continue
            inner = Reader(self._file, self._first_line)
            inner._open, inner._seen, inner._repeated = self._open, self._seen, self._repeated
            value = inner._value(node, path, self._position(node))
            self._repeated = inner._repeated
            self.problems += inner.problems
            if not isinstance(value, dict):
                continue
            for place_path, place in inner.places.items():
                self.places.setdefault(place_path, place)
            for key, item in value.items():
                into.setdefault(key, item)

    def _key(self, node: yaml.Node, path: str) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._problem("WrongType", "a key must be text", node, path)
            return None
        value = _plain(node)
        if isinstance(value, bool) or value is None:
            hint = f'write it in quotes: "{node.value}"'
            what = "a boolean" if isinstance(value, bool) else "null"
            self._problem("WrongType", f"the key {node.value!r} is {what} in YAML, not text", node, path, hint)
            return None
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Any:
        value = _plain(node)
        if isinstance(value, float) and not math.isfinite(value):
            text = node.value if len(node.value) <= _LONGEST_NUMBER else f"{node.value[:_LONGEST_NUMBER]}..."
            self._problem("WrongType", f"{text} is no number that can be used", node, path)
            return None
        return value


def _plain(node: yaml.ScalarNode) -> Any:
    """Returns what a scalar means: None, a boolean, a number or text."""
    text: str = node.value
    if node.tag == NULL:
        return None
    if node.tag == _TAG + "bool" or (node.tag == _TEXT and not node.style and text in _SHORT_BOOLEANS):
        return text.lower() in _TRUE
    if node.tag == _TAG + "int" and ":" not in text:
        return _integer(text.replace("_", ""))
    if node.tag == _TAG + "float" and ":" not in text:
        number = text.replace("_", "").lower()
        return _real(number.replace(".inf", "inf").replace(".nan", "nan"))
    if node.tag == _TEXT and not node.style and text[:1] in _NUMBERS_BEGIN and _FLOAT.fullmatch(text):
        return float(text)
    return text


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # the tag says that it is a number
        return math.nan


def _integer(text: str) -> int | float:
    """Returns a whole number, or what is not finite for one that nobody means: Python itself refuses some of them."""
    if len(text) > _LONGEST_NUMBER:
        return math.inf
    digits = text.lstrip("+-")
    base = 8 if digits.startswith("0") and digits.isdecimal() else 0
    try:
        return int(text, base)
    except ValueError:  # YAML takes 0x_ for a number, or a tag says that it is one
        return math.nan


def described(given: Any, written: str | None = None) -> str:
    """Returns in words what a value is, for a message; ``written`` is how it stands in the text, if that is known."""
    if given is None:
        return "null"
    if isinstance(given, bool):
        return f"the boolean `{written or str(given).lower()}`"
    if isinstance(given, int | float):
        return f"the number {written or given}"
    if isinstance(given, str):
        return f"the text {given[:60]!r}"
    return "a list" if isinstance(given, list) else "a mapping"
