"""An xDS resource: what Envoy receives, encoded once and shared by every proxy that needs the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from mizzen.resources.key import Key

TypeUrl: TypeAlias = str

_PREFIX = "type.googleapis.com/envoy.config."
CLUSTER: TypeUrl = _PREFIX + "cluster.v3.Cluster"
ENDPOINTS: TypeUrl = _PREFIX + "endpoint.v3.ClusterLoadAssignment"
LISTENER: TypeUrl = _PREFIX + "listener.v3.Listener"
ROUTES: TypeUrl = _PREFIX + "route.v3.RouteConfiguration"
FILTERS: TypeUrl = _PREFIX + "core.v3.TypedExtensionConfig"
SECRET: TypeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name

# The short names that Envoy's and Istio's tools use, in the order in which a push makes before it breaks.
SHORT_NAMES: Mapping[TypeUrl, str] = {
    CLUSTER: "CDS",
    ENDPOINTS: "EDS",
    LISTENER: "LDS",
    ROUTES: "RDS",
    FILTERS: "ECDS",
    SECRET: "SDS",
}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class XdsResource:
    """One encoded xDS resource.

    ``version`` is the hash of its content, so equal content has an equal version in every process and after every
    restart. ``body`` is the encoded message (the value of its Any). ``origins`` are the users' resources that shaped
    it, for tracing Envoy's rejection back to a line in a file.
    """

    name: str
    version: str
    body: bytes
    origins: tuple[Key, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.version))


Resources: TypeAlias = Mapping[TypeUrl, Mapping[str, XdsResource]]


def encode(name: str, message: Message, origins: Iterable[Key] = ()) -> XdsResource:
    """Encodes a message deterministically (map fields in order) and names it by its content."""
    return encoded(name, message.SerializeToString(deterministic=True), sorted(set(origins)))


def encoded(name: str, body: bytes, origins: Iterable[Key]) -> XdsResource:
    """Names an encoded message by its content."""
    return XdsResource(name, hashlib.sha256(body).hexdigest()[:16], body, tuple(origins))


def pack(message: Message) -> AnyMessage:
    """Wraps a message into an Any, deterministically."""
    return AnyMessage(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )
