"""Encoded xDS resources, as messages again."""

from __future__ import annotations

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

# Registers the messages that stand inside Anys, so that they can be shown.
from mizzen.compile import compiler as _compiler


def decode(type_url: str, body: bytes) -> Message:
    assert _compiler
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_url.rpartition("/")[2])
    return message_factory.GetMessageClass(descriptor).FromString(body)
