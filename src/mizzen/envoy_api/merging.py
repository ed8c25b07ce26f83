"""Puts a partial message, as it is written, into one that there is.

As protobuf merges: fields replace, lists are appended, entries of mappings replace those of their key, messages are merged
field by field; and an Any is merged with one of the same type as messages are, and replaced by one of another. Unlike
there, a duration or a wrapped value replaces as a whole, and a value that is written counts also where it is the default
(``false``, 0): a message cannot say that, but the text does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mizzen.envoy_api.json_form import ANY, TYPE, build, field_named, is_list, is_map, is_structured
from mizzen.envoy_api.types import new, of_url


def merge(into: Message, value: Mapping[str, Any], *, replace_lists: bool = False) -> None:
    """Merges a value that has no mistakes; ``replace_lists`` has a list take the place of the one that was there."""
    descriptor = cast("Descriptor", into.DESCRIPTOR)
    for name, given in value.items():
        field = field_named(descriptor, name)
        if field is not None and given is not None:
            _merge_field(into, field, given, replace_lists=replace_lists)


def _merge_field(into: Message, field: FieldDescriptor, given: Any, *, replace_lists: bool) -> None:
    if is_map(field) or is_list(field):
        if replace_lists and is_list(field):
            into.ClearField(field.name)
        into.MergeFrom(build({field.name: given}, cast("Descriptor", into.DESCRIPTOR)))
    elif field.message_type and field.message_type.full_name == ANY:
        merge_any(getattr(into, field.name), given, replace_lists=replace_lists)
    elif is_structured(field.message_type):
        inner = getattr(into, field.name)
        inner.SetInParent()
        merge(inner, given, replace_lists=replace_lists)
    else:
        into.ClearField(field.name)
        json_format.ParseDict({field.name: given}, into)


def merge_any(into: AnyMessage, value: Mapping[str, Any], *, replace_lists: bool = False) -> None:
    """Merges what an Any of the same type holds, and replaces one of another type."""
    descriptor = of_url(value[TYPE])
    if descriptor is None:
        raise KeyError(value[TYPE])
    if descriptor.full_name != into.type_url.rpartition("/")[2] or not is_structured(descriptor):
        into.Clear()
        into.MergeFrom(cast("AnyMessage", build(value, into.DESCRIPTOR)))
        return
    held = new(descriptor)
    held.ParseFromString(into.value)
    merge(held, {name: one for name, one in value.items() if name != TYPE}, replace_lists=replace_lists)
    into.value = held.SerializeToString(deterministic=True)
