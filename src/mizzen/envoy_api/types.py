"""Finds Envoy's message types by their names, of which an Any holds one (``type.googleapis.com/envoy...v3.Lua``)."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import lru_cache

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_STUBS = "mizzen.stubs"
# The package, in small letters, and the names of messages in it.
_FULL_NAME = re.compile(r"((?:[a-z][a-z0-9_]*\.)+)[A-Z]\w*(?:\.[A-Z]\w*)*")


@lru_cache(maxsize=4096)
def find(name: str) -> Descriptor | None:
    """Returns the message type of this full name, or None if this Envoy has none."""
    found = _FULL_NAME.fullmatch(name)
    if found is None:
        return None
    _import_package(found[1].rstrip("."))
    try:
        return descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return None


def known(name: str) -> Descriptor:
    """Returns a message type that there is. Raises KeyError for another."""
    found = find(name)
    if found is None:
        raise KeyError(name)
    return found


def of_url(url: str) -> Descriptor | None:
    """Returns the type that an Any of this URL holds; only what stands after the last slash counts."""
    return find(url.rpartition("/")[2])


def new(descriptor: Descriptor) -> Message:
    """Returns an empty message of a type."""
    return message_factory.GetMessageClass(descriptor)()


def _import_package(package: str) -> None:
    """Imports all messages of a package: in Envoy's API its name is that of its folder."""
    try:
        folder = importlib.import_module(f"{_STUBS}.{package}")
    except ModuleNotFoundError:
        return
    for module in pkgutil.iter_modules(folder.__path__):
        if not module.ispkg:
            importlib.import_module(f"{folder.__name__}.{module.name}")
