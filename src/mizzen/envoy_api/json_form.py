"""Envoy's messages in the JSON form of protobuf: what is wrong with a value, field by field, and the message of a right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mizzen.envoy_api import constraints
from mizzen.envoy_api.types import new, of_url

Loc: TypeAlias = tuple[str | int, ...]
ParseError = json_format.ParseError

ANY = "google.protobuf.Any"
TYPE = "@type"
_TYPED_STRUCTS = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})
_WELL_KNOWN = "google.protobuf."
_EXPECTED: Mapping[str, str] = {
    "google.protobuf.Duration": 'a duration in seconds such as "5s" or "0.25s"',
    "google.protobuf.Timestamp": 'a time such as "2030-01-31T12:00:00Z"',
    "google.protobuf.Struct": "a mapping",
    "google.protobuf.ListValue": "a list",
    "google.protobuf.FieldMask": 'names of fields such as "a,b"',
    "google.protobuf.BoolValue": "true or false",
    "google.protobuf.StringValue": "text",
    "google.protobuf.BytesValue": "bytes in base64",
    "google.protobuf.FloatValue": "a number",
    "google.protobuf.DoubleValue": "a number",
}
_SCALARS: Mapping[int, str] = {
    FieldDescriptor.TYPE_BOOL: "true or false",
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BYTES: "bytes in base64",
    FieldDescriptor.TYPE_FLOAT: "a number",
    FieldDescriptor.TYPE_DOUBLE: "a number",
}


@dataclass(frozen=True)
class Mistake:
    """What is wrong at a place within a value; ``given`` is a name of which there may be a right one among ``known``.

    One that is ``mild`` does not keep Envoy from taking the value.
    """

    loc: Loc
    message: str
    given: str = ""
    known: tuple[str, ...] = ()
    mild: bool = False


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def is_list(field: FieldDescriptor) -> bool:
    return field.is_repeated and not is_map(field)


def type_of(field: FieldDescriptor) -> Descriptor:
    """Returns the type of a field that holds messages."""
    if field.message_type is None:
        raise TypeError(f"{field.full_name} holds no messages")
    return field.message_type


def is_structured(descriptor: Descriptor | None) -> bool:
    """Tells whether a type's JSON form is a mapping of its fields; that of durations, wrappers and such is another."""
    return descriptor is not None and not descriptor.full_name.startswith(_WELL_KNOWN)


def field_named(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Returns the field with this name, in the form of protobuf (``a_b``) or of JSON (``aB``)."""
    found: FieldDescriptor | None = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
    return found


def build(value: Mapping[str, Any], descriptor: Descriptor) -> Message:
    """Returns the message of a value without :func:`mistakes`. Raises json_format.ParseError for others."""
    for url in _type_urls(value):
        of_url(url)  # protobuf's parser knows the types that have been imported
    message = new(descriptor)
    json_format.ParseDict(dict(value), message)
    _put_in_order(message)
    return message


def _put_in_order(message: Message) -> None:
    """Encodes what stands in each Any anew, with the entries of mappings in order, so that equal values are equal bytes."""
    for field, value in message.ListFields():
        if not field.message_type:
            continue
        if is_map(field):
            inner = value.values() if field.message_type.fields_by_name["value"].message_type else ()
        else:
            inner = value if field.is_repeated else (value,)
        for one in inner:
            if isinstance(one, AnyMessage):
                _encode_in_order(one)
            else:
                _put_in_order(one)


def _encode_in_order(packed: AnyMessage) -> None:
    if descriptor := of_url(packed.type_url):
        held = new(descriptor)
        held.ParseFromString(packed.value)
        _put_in_order(held)
        packed.value = held.SerializeToString(deterministic=True)


def _type_urls(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(url := value.get(TYPE), str):
            yield url
        for inner in value.values():
            yield from _type_urls(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _type_urls(inner)


def mistakes(value: object, descriptor: Descriptor, loc: Loc = (), *, whole: bool = True) -> Iterator[Mistake]:
    """Yields what is wrong with a value that should be a message of this type.

    What is not ``whole`` is put into another message: what it lacks that may have.
    """
    if descriptor.full_name == ANY:
        yield from _any(value, loc, whole=whole)
    elif not isinstance(value, Mapping):
        fields = ", ".join(f"`{field.name}`" for field in descriptor.fields[:12])
        yield Mistake(loc, f"must be a mapping with fields of {descriptor.full_name}: {fields}")
    else:
        yield from _message({name: item for name, item in value.items() if name != TYPE}, descriptor, loc, whole=whole)


def _message(value: Mapping[str, Any], descriptor: Descriptor, loc: Loc, *, whole: bool) -> Iterator[Mistake]:
    chosen: dict[str, str] = {}
    given = set()
    for name, item in value.items():
        field = field_named(descriptor, name)
        if field is None:
            message = f"{descriptor.full_name} has no field `{name}`"
            yield Mistake((*loc, name), message, name, tuple(one.name for one in descriptor.fields))
        elif item is not None:
            if field.name in given:
                yield Mistake((*loc, name), f"`{field.name}` is written twice")
            given.add(field.name)
            if (group := field.containing_oneof) and (other := chosen.setdefault(group.name, name)) != name:
                yield Mistake((*loc, name), f"`{name}` and `{other}` cannot be set together: keep one of them")
            yield from _field(field, item, (*loc, name), whole=whole)
    if whole:
        for lacking in constraints.missing(descriptor, frozenset(given)):
            yield Mistake(loc, f"{descriptor.full_name} needs {lacking}")


def _field(field: FieldDescriptor, item: Any, loc: Loc, *, whole: bool) -> Iterator[Mistake]:
    if constraints.is_refused(field):
        yield Mistake(loc, f"Envoy does not take `{field.name}` any more")
    elif field.GetOptions().deprecated:
        yield Mistake(loc, f"`{field.name}` is deprecated in Envoy", mild=True)
    if is_map(field):
        yield from _map(field, item, loc)
    elif field.is_repeated:
        yield from _list(field, item, loc)
    elif is_structured(field.message_type) or _holds_any(field):
        yield from mistakes(item, type_of(field), loc, whole=whole)
    else:
        yield from _leaf(field, item, loc)


def _holds_any(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == ANY


def _map(field: FieldDescriptor, item: Any, loc: Loc) -> Iterator[Mistake]:
    if not isinstance(item, Mapping):
        yield Mistake(loc, "must be a mapping")
        return
    yield from (Mistake(loc, message) for message in constraints.broken(field, item))
    value = type_of(field).fields_by_name["value"]
    for name, inner in item.items():
        if is_structured(value.message_type) or _holds_any(value):
            yield from mistakes(inner, type_of(value), (*loc, name))
        else:
            yield from _parsed(field, {name: inner}, value, (*loc, name))


def _list(field: FieldDescriptor, item: Any, loc: Loc) -> Iterator[Mistake]:
    if not isinstance(item, list | tuple):
        yield Mistake(loc, f"must be a list of {_expected(field)}")
        return
    yield from (Mistake(loc, message) for message in constraints.broken(field, item))
    for index, inner in enumerate(item):
        if is_structured(field.message_type) or _holds_any(field):
            yield from mistakes(inner, type_of(field), (*loc, index))
        else:
            wrong = list(_parsed(field, [inner], field, (*loc, index)))
            yield from wrong or (Mistake((*loc, index), one) for one in constraints.broken_element(field, inner))


def _leaf(field: FieldDescriptor, item: Any, loc: Loc) -> Iterator[Mistake]:
    wrong = list(_parsed(field, item, field, loc))
    if wrong:
        yield from wrong
        return
    message = _with(field, item)
    yield from (Mistake(loc, one) for one in constraints.broken(field, getattr(message, field.name)))


def _parsed(field: FieldDescriptor, item: Any, shown: FieldDescriptor, loc: Loc) -> Iterator[Mistake]:
    try:
        _with(field, item)
    except (json_format.ParseError, ValueError, TypeError):
        given = item[0] if isinstance(item, list) else next(iter(item.values())) if isinstance(item, dict) else item
        known = tuple(one.name for one in shown.enum_type.values) if shown.enum_type else ()
        name = given if isinstance(given, str) else ""
        yield Mistake(loc, f"must be {_expected(shown)}, not {given!r}", name, known)


def _with(field: FieldDescriptor, item: Any) -> Message:
    if field.containing_type is None:
        raise TypeError(f"{field.full_name} is in no message")
    message = new(field.containing_type)
    json_format.ParseDict({field.name: item}, message)
    return message


def _expected(field: FieldDescriptor) -> str:
    if field.message_type:
        name = field.message_type.full_name
        return _EXPECTED.get(name, "a whole number" if name.startswith(_WELL_KNOWN) else f"messages {name}")
    if field.enum_type:
        return f"one of {', '.join(one.name for one in field.enum_type.values)}"
    return _SCALARS.get(field.type, "a whole number")


def _any(value: object, loc: Loc, *, whole: bool) -> Iterator[Mistake]:
    if not isinstance(value, Mapping) or not isinstance(value.get(TYPE), str):
        yield Mistake(loc, f'needs a `"{TYPE}"`, which names the type of what stands here')
        return
    url = value[TYPE]
    descriptor = of_url(url)
    if descriptor is None or "/" not in url:
        why = "use the API of version 3" if ".v2." in url else "this Envoy has no such type"
        yield Mistake((*loc, TYPE), f"referenced type unknown: {url} ({why})")
    elif descriptor.full_name in _TYPED_STRUCTS:
        yield from _typed_struct(value, descriptor, loc, whole=whole)
    elif not is_structured(descriptor):
        yield from () if "value" in value else [Mistake(loc, "needs a `value`")]
    else:
        yield from mistakes(value, descriptor, loc, whole=whole)


def _typed_struct(value: Mapping[str, Any], descriptor: Descriptor, loc: Loc, *, whole: bool) -> Iterator[Mistake]:
    """Yields what is wrong with a message that has its type in a field; Envoy may know types that have no descriptor here."""
    yield from _message({name: item for name, item in value.items() if name != TYPE}, descriptor, loc, whole=whole)
    name = "type_url" if "type_url" in value else "typeUrl"
    inner = value.get("value")
    if (held := of_url(str(value.get(name, "")))) and isinstance(inner, Mapping):
        yield from mistakes(inner, held, (*loc, "value"), whole=whole)
