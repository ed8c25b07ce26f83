"""What Envoy asks of the values of fields (``validate.rules`` in its API, in the words of protoc-gen-validate).

The rules that Envoy's API uses are here; it has a few more in its code, of which only Envoy itself can tell.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from mizzen.stubs.envoy.annotations.deprecation_pb2 import disallowed_by_default
from mizzen.stubs.validate import validate_pb2

_COMPARISONS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": ("greater than", operator.gt),
    "gte": ("at least", operator.ge),
    "lt": ("less than", operator.lt),
    "lte": ("at most", operator.le),
    "const": ("exactly", operator.eq),
}
_LENGTHS: Mapping[str, Callable[[int, int], bool]] = {"min": operator.ge, "max": operator.le}
# RFC 9110's tokens, and with a colon in front the pseudo-headers of HTTP/2.
_HEADER_NAME = re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0A-\x1F\x7F]*")
_NOT_STRICT = re.compile(r"[^\x00\x0A\x0D]+")


@lru_cache(maxsize=65536)
def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """Returns the rules of a field; one without any has empty rules."""
    return field.GetOptions().Extensions[validate_pb2.rules]


@lru_cache(maxsize=65536)
def is_refused(field: FieldDescriptor) -> bool:
    """Tells whether Envoy refuses configuration with this field, because it is about to go."""
    return bool(field.GetOptions().Extensions[disallowed_by_default])


def missing(descriptor: Descriptor, given: frozenset[str]) -> Iterator[str]:
    """Yields the fields, and groups of fields, that a whole message needs and that are not among the ``given`` ones."""
    for one in descriptor.oneofs:
        if _is_required(one) and not any(field.name in given for field in one.fields):
            yield " or ".join(f"`{field.name}`" for field in one.fields)
    for field in descriptor.fields:
        if field.name not in given and field.containing_oneof is None and _needs_value(field):
            yield f"`{field.name}`"


@lru_cache(maxsize=4096)
def _is_required(one: OneofDescriptor) -> bool:
    return bool(one.GetOptions().Extensions[validate_pb2.required])


@lru_cache(maxsize=65536)
def _needs_value(field: FieldDescriptor) -> bool:
    rules = rules_of(field)
    kind = rules.WhichOneof("type")
    if rules.message.required:
        return True
    if kind is None:
        return False
    own = getattr(rules, kind)
    if kind in ("duration", "timestamp", "any"):
        return bool(own.required)
    if getattr(own, "ignore_empty", False):
        return False
    if kind == "repeated":
        return bool(own.min_items)
    if kind == "map":
        return bool(own.min_pairs)
    return not field.has_presence and any(_against(kind, own, field.default_value))


def broken(field: FieldDescriptor, value: Any) -> Iterator[str]:
    """Yields what a value should be and is not: ``must be greater than 0``. Of a list or a mapping its size is looked at."""
    rules = rules_of(field)
    kind = rules.WhichOneof("type")
    if kind is None:
        return
    own = getattr(rules, kind)
    if kind == "repeated":
        yield from _count(own.min_items, own.max_items, len(value), "elements")
        if own.unique and len({str(one) for one in value}) < len(value):
            yield "must not hold an element twice"
    elif kind == "map":
        yield from _count(own.min_pairs, own.max_pairs, len(value), "entries")
    else:
        yield from _against(kind, own, value)


def broken_element(field: FieldDescriptor, value: Any) -> Iterator[str]:
    """Yields what an element of a list should be and is not."""
    items = rules_of(field).repeated.items
    if kind := items.WhichOneof("type"):
        yield from _against(kind, getattr(items, kind), value)


def _count(least: int, most: int, count: int, what: str) -> Iterator[str]:
    if count < least:
        yield f"needs at least {least} {what}"
    if most and count > most:
        yield f"may have at most {most} {what}"


def _against(kind: str, own: Any, value: Any) -> Iterator[str]:
    if kind == "string" and not (own.ignore_empty and not value):
        yield from _text(own, value)
    elif kind == "bytes":
        yield from _length(own, "len", len(value), "bytes")
    elif kind == "enum":
        yield from _among(own, value)
    elif kind == "duration":
        yield from _compared(own, value, _seconds)
    elif kind not in ("any", "timestamp", "bool", "string"):
        yield from _compared(own, _number(value), float)
        yield from _among(own, _number(value))


def _number(value: Any) -> Any:
    return value.value if isinstance(value, Message) else value  # type: ignore[attr-defined]


def _seconds(value: Duration) -> float:
    return value.seconds + value.nanos / 1e9


def _compared(own: Any, value: Any, measure: Callable[[Any], float]) -> Iterator[str]:
    for name, (words, holds) in _COMPARISONS.items():
        if own.HasField(name) and not holds(measure(value), measure(getattr(own, name))):
            yield f"must be {words} {measure(getattr(own, name)):g}{'s' if isinstance(value, Duration) else ''}"


def _among(own: Any, value: Any) -> Iterator[str]:
    allowed, refused = getattr(own, "in"), own.not_in
    if allowed and value not in allowed:
        yield f"must be one of {', '.join(map(str, allowed))}"
    if value in refused:
        yield f"must not be {value}"


def _text(own: Any, value: Any) -> Iterator[str]:
    text = _number(value)
    yield from _length(own, "len", len(text), "characters")
    yield from _length(own, "bytes", len(text.encode()), "bytes")
    if own.HasField("const") and text != own.const:
        yield f"must be {own.const!r}"
    if own.prefix and not text.startswith(own.prefix):
        yield f"must begin with {own.prefix!r}"
    if own.suffix and not text.endswith(own.suffix):
        yield f"must end with {own.suffix!r}"
    if own.pattern and not re.search(own.pattern, text):
        yield f"must match {own.pattern!r}"
    yield from _among(own, text)
    yield from _header(own, text)


def _length(own: Any, what: str, length: int, unit: str) -> Iterator[str]:
    for side, holds in _LENGTHS.items():
        name = f"{side}_{what}"
        if own.HasField(name) and not holds(length, getattr(own, name)):
            least = side == "min"
            if least and getattr(own, name) == 1:
                yield "must not be empty"
            else:
                yield f"must have at {'least' if least else 'most'} {getattr(own, name)} {unit}"


def _header(own: Any, text: str) -> Iterator[str]:
    regex = own.well_known_regex
    if not regex or not text:
        return
    if own.HasField("strict") and not own.strict:
        fits = _NOT_STRICT.fullmatch(text)
    else:
        fits = (_HEADER_NAME if regex == validate_pb2.HTTP_HEADER_NAME else _HEADER_VALUE).fullmatch(text)
    if not fits:
        yield f"is not the {'name' if regex == validate_pb2.HTTP_HEADER_NAME else 'value'} of a header"
