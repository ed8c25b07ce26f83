"""How the Envoy of a workload is started, as its node is told."""

from __future__ import annotations

from typing import Any

import msgspec


class BootstrapPatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is merged into the bootstrap of an Envoy: a part of it in JSON; ``replace_lists`` says how."""

    value: dict[str, Any]
    replace_lists: bool = False


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an Envoy of a workload's own is started, where it is not as Mizzen does by itself.

    ``concurrency`` are its worker threads, 0 one for each core; ``env`` is added to its environment, ``metadata`` to what it
    says of itself.
    """

    concurrency: int | None = None
    env: dict[str, str] = {}
    metadata: dict[str, str] = {}
    bootstrap: tuple[BootstrapPatch, ...] = ()
