"""How Envoys are started, as their node is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

SYSTEM_NAMESPACE = "mizzen-system"
"""Where the proxies of nodes are. What says there how Envoys are started is for these alone."""


class BootstrapPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is merged into the bootstrap of an Envoy: a part of it in JSON; ``replace_lists`` says how."""

    value: dict[str, Any]
    replace_lists: bool = False


class StartResource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A ProxyConfig, or what an EnvoyFilter says of bootstraps: its ``spec`` in YAML form. ``created`` is its age."""

    kind: str
    namespace: str
    name: str
    digest: str
    created: int
    spec: dict[str, Any]


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an Envoy is started, where it is not as Mizzen does by itself.

    ``concurrency`` are its worker threads, 0 one for each core; ``env`` is added to its environment, ``metadata`` to what it
    says of itself.
    """

    concurrency: int | None = None
    env: dict[str, str] = {}
    metadata: dict[str, str] = {}
    bootstrap: tuple[BootstrapPatch, ...] = ()


@dataclass(frozen=True)
class Start:
    """How one Envoy is started; ``said_by`` are the digests of the resources that say so."""

    settings: ProxySettings = field(default_factory=ProxySettings)
    said_by: tuple[str, ...] = ()
