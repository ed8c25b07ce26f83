"""What the xDS server is given: who asks (:class:`Node`), and what that proxy should have (:class:`ConfigSource`).

The control plane serves compiled snapshots through this interface, the node serves secrets through it. The server asks
again whenever :meth:`ConfigSource.changed` returns, and only ever for the present: versions in between are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.json_format import MessageToDict

from mizzen.compile.resource import Resources
from mizzen.stubs.envoy.config.core.v3 import base_pb2


@dataclass(frozen=True)
class Node:
    """Who asks: a proxy's node identifier, taken apart, with its metadata.

    Istio's form of the identifier is ``sidecar~<ip>~<name>.<namespace>~<namespace>.svc.<domain>``. Of an identifier of
    any other form (a gRPC client's, say) only ``id`` is set.
    """

    id: str
    kind: str = ""
    address: str = ""
    name: str = ""
    namespace: str = ""
    domain: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    agent: str = field(default="", compare=False)

    @property
    def proxy(self) -> str:
        """The proxy's name to people: ``reviews-v1-0.default``, or the whole identifier if it is not of Istio's form."""
        return f"{self.name}.{self.namespace}" if self.name else self.id

    @classmethod
    def parse(cls, message: base_pb2.Node) -> Node:
        metadata = MessageToDict(message.metadata)
        kind, address, name, namespace, domain = _split(message.id)
        return cls(message.id, kind, address, name, namespace, domain, metadata, message.user_agent_name)


def _split(identifier: str) -> tuple[str, str, str, str, str]:
    parts = identifier.split("~")
    if len(parts) != 4:
        return "", "", "", "", ""
    kind, address, pod, domain = parts
    name, dot, namespace = pod.rpartition(".")
    if not (kind and dot and name and namespace):
        return "", "", "", "", ""
    return kind, address, name, namespace, domain


@dataclass(frozen=True)
class Config:
    """What one proxy should have as of a snapshot's ``version``.

    ``version`` is the present snapshot's even if this proxy's resources are as old as ever: so the proxy counts as up
    to date with it at once. Mappings that did not change should be the same objects as before: they are not looked
    through again.
    """

    version: int
    resources: Resources


class ConfigSource(Protocol):
    """Where the server takes configurations from."""

    def config(self, node: Node) -> Config | None:
        """Returns what this proxy should have now; None for a proxy that is not known (yet): its stream waits."""

    async def changed(self, version: int) -> int:
        """Returns the current version as soon as it is greater than ``version``."""
