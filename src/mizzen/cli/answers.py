"""What the HTTP API answers, as the command line reads it: fields that it does not show are left out.

Unknown fields are skipped, so that an older command line can talk to a newer control plane.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mizzen.registry.reports import ContainerState


class Position(msgspec.Struct, frozen=True):
    """A place in a file."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Key(msgspec.Struct, frozen=True):
    """Which resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong; ``level`` is error, warning or info."""

    message: str
    code: str = ""
    level: str = "error"
    position: Position | None = None
    resource: Key | None = None
    path: str = ""
    hint: str = ""


class Problems(msgspec.Struct):
    problems: tuple[Problem, ...] = ()


class Version(msgspec.Struct, rename="camel"):
    """The running mesh about itself; ``snapshot`` is the version of its configuration."""

    version: str
    envoy: str = ""
    mesh: str = ""
    snapshot: int = 0
    capture: str = ""
    trust_domain: str = ""
    ready: bool = True


class Result(msgspec.Struct):
    """What became of one resource: created, configured, unchanged or deleted."""

    kind: str
    namespace: str
    name: str
    action: str


class Changed(msgspec.Struct):
    """The answer to apply and delete: the snapshot's version that holds the change."""

    version: int
    results: tuple[Result, ...] = ()
    warnings: tuple[Problem, ...] = ()


class Pending(msgspec.Struct, frozen=True):
    proxy: str
    types: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """Envoy's word on a configuration that it refused, and whose resource is to blame."""

    proxy: str
    type: str
    message: str
    resource: str = ""
    position: str = ""


class Synced(msgspec.Struct):
    """Who has acknowledged a version, who has not yet, and who has refused it."""

    version: int
    synced: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()
    rejected: tuple[Rejected, ...] = ()


class Listing(msgspec.Struct):
    """Resources as documents, and what is wrong with those that are not in use."""

    items: tuple[dict[str, Any], ...] = ()
    problems: tuple[Problem, ...] = ()


class Event(msgspec.Struct):
    """One change of a resource; ``time`` is in Unix seconds."""

    version: int
    action: str
    text: str = ""
    file: str = ""
    line: int = 0
    time: float = 0.0


class History(msgspec.Struct):
    items: tuple[Event, ...] = ()


class TypeState(msgspec.Struct):
    """How far one proxy is with one type of xDS resource; ``state`` is Istio's word for it."""

    state: str
    resources: int = 0
    error: str = ""


class Proxy(msgspec.Struct, rename="camel"):
    """One proxy as the control plane sees it; ``id`` is ``instance.namespace``. One that is away has no version."""

    id: str
    connected: bool = False
    connected_since: float | None = None
    version: int | None = None
    types: dict[str, TypeState] = {}


class Proxies(msgspec.Struct):
    items: tuple[Proxy, ...] = ()


class Containers(msgspec.Struct):
    """The containers that targets mean; ``unmatched`` are targets that mean none which runs now.

    ``waiting`` are attached and mean none that exists. ``problems`` are those of the node, in words. ``taken`` says
    whether the node knows what was asked, so that the states
    of the containers are about it.
    """

    items: tuple[ContainerState, ...] = ()
    unmatched: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    taken: bool = True
