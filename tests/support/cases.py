"""The golden cases: folders of ``tests/golden/cases`` with resources in, and what proxies receive out.

``case.yaml`` says ``capture`` (explicit unless it says transparent or node), ``proxies`` (sidecars, by id), ``clients`` (gRPC's own
clients, by namespace), ``show``: which resources of which type the expected files hold, as patterns of names, and
``hide``: the fields that they leave out, because the case is not about them.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToJson
from tests.support.decoding import decode
from tests.support.worlds import read, snapshot_of

from mizzen.compile.resource import SHORT_NAMES, Resources
from mizzen.mesh.model import Proxy, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind

FOLDER = Path(__file__).parent.parent / "golden" / "cases"
BOOKINFO = Path(__file__).parent.parent.parent / "examples" / "bookinfo"


@dataclass(frozen=True)
class Case:
    """One case; ``show`` is empty for everything."""

    folder: Path
    capture: str = "explicit"
    proxies: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    files: tuple[str, ...] = ("input.yaml",)
    show: Mapping[str, list[str]] = field(default_factory=dict)
    hide: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Case:
        written: dict[str, Any] = yaml.safe_load((folder / "case.yaml").read_text())
        for name, value in written.items():
            written[name] = tuple(value) if isinstance(value, list) else value
        return cls(folder, **written)

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def snapshot(self) -> Snapshot:
        return snapshot_of(read(*((self.folder / file).read_text() for file in self.files)), self.capture)

    def subjects(self) -> Iterator[Proxy]:
        """Yields the proxies that the case is about."""
        for name in self.proxies:
            yield self.snapshot.proxies[name]
        for namespace in self.clients:
            yield Proxy(id=f"grpc-client.{namespace}", namespace=namespace, kind=ProxyKind.PROXYLESS)

    def rendered(self, resources: Resources) -> str:
        """Returns what a proxy receives, as far as the case shows it, in the form of an expected file."""
        shown = {}
        for type_url, named in resources.items():
            short = SHORT_NAMES[type_url]
            patterns = self.show.get(short, []) if self.show else ["*"]
            chosen = [name for name in sorted(named) if any(fnmatch.fnmatchcase(name, one) for one in patterns)]
            if chosen:
                shown[short] = {name: self._without_hidden(_plain(type_url, named[name].body)) for name in chosen}
        return yaml.safe_dump(shown, sort_keys=False, width=120)

    def _without_hidden(self, value: object) -> object:
        if isinstance(value, dict):
            return {name: self._without_hidden(inner) for name, inner in value.items() if name not in self.hide}
        if isinstance(value, list):
            return [self._without_hidden(item) for item in value]
        return value


# What protobuf gives in any order, each time another.
_MAPS = frozenset({"filter_metadata", "typed_per_filter_config"})


def _plain(type_url: str, body: bytes) -> object:
    """Returns a message as plain values: fields in the order of the schema, free-form maps in that of their keys."""
    return _with_sorted_maps(json.loads(MessageToJson(decode(type_url, body), preserving_proto_field_name=True)))


def _with_sorted_maps(value: object, *, sort: bool = False) -> object:
    if isinstance(value, list):
        return [_with_sorted_maps(item, sort=sort) for item in value]
    if not isinstance(value, dict):
        return value
    items = sorted(value.items()) if sort else value.items()
    return {name: _with_sorted_maps(inner, sort=sort or name in _MAPS) for name, inner in items}


def cases() -> list[Case]:
    return [Case.read(path.parent) for path in sorted(FOLDER.glob("*/case.yaml"))]
