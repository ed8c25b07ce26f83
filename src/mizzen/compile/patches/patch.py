"""A patch as users wrote it, prepared for a seat, and the patches of one proxy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from google.protobuf.message import Message

from mizzen.compile.patches.seat_values import NOTHING_ADDED, Added, at_seat, trespass
from mizzen.compile.resource import XdsResource, encode
from mizzen.compile.seats import Seat
from mizzen.envoy_api.json_form import build
from mizzen.envoy_api.merging import merge
from mizzen.envoy_api.types import known
from mizzen.mesh.envoy_filters import is_for_proxy
from mizzen.mesh.model import EnvoyFilter
from mizzen.resources.envoy_filter import FILTERS, MERGES, OPERATIONS, TYPES, ConfigPatch, ObjectMatch
from mizzen.resources.key import Key

PatchId: TypeAlias = tuple[Key, int]
"""An EnvoyFilter, and the number of a patch in it."""

# Where something is put among others only these have an order (Istio 1.7).
_ORDERED = FILTERS | {"HTTP_ROUTE"}
_INSERTS = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"})


@dataclass(frozen=True)
class Patch:
    """One patch of an EnvoyFilter. Two are equal if they are of the same generation of it, at the same seat and with the same
    names ``added`` there; the rest follows from that.
    """

    key: Key
    digest: str
    index: int
    seat: Seat
    added: Added
    target: str = field(compare=False)
    operation: str = field(compare=False)
    match: ObjectMatch = field(compare=False)
    value: Mapping[str, Any] = field(compare=False)
    filter_class: str = field(compare=False)

    @property
    def id(self) -> PatchId:
        return (self.key, self.index)

    @property
    def merges(self) -> bool:
        return self.operation in MERGES

    def message(self) -> Message:
        """Returns the value as a new message."""
        return build(self.value, known(TYPES[self.target]))

    def merge_into(self, message: Message, value: Mapping[str, Any] | None = None) -> None:
        """Merges the value, or this part of it, into a message."""
        replace = self.operation == "MERGE_AND_REPLACE_LIST"
        merge(message, self.value if value is None else value, replace_lists=replace)


Patches: TypeAlias = tuple[Patch, ...]


@dataclass(frozen=True)
class Patched:
    """What became of a resource, which is None if it is removed, and the patches that changed something.

    ``filters`` are those that come by themselves and are to be changed, each with the patches for it.
    """

    resource: XdsResource | None
    hits: frozenset[PatchId] = frozenset()
    filters: tuple[tuple[str, Patches], ...] = ()


def changed(resource: XdsResource, message: Message, hits: Collection[PatchId]) -> Patched:
    """Returns what became of a resource that is this message now; without ``hits`` it is as it was."""
    if not hits:
        return Patched(resource)
    origins = [*resource.origins, *(key for key, _ in hits)]
    return Patched(encode(resource.name, message, origins), frozenset(hits))


def patches_of(filters: Iterable[EnvoyFilter], metadata: Mapping[str, str], seat: Seat) -> Patches:
    """Returns the patches for a proxy with this metadata, in order."""
    given = [
        (one, index, written)
        for one in filters
        for index, written in enumerate(one.spec.config_patches)
        if is_for_proxy(written.match.proxy, metadata) and _counts(written, seat)
    ]
    added = _added(written for _, _, written in given) if seat.shared else NOTHING_ADDED
    return tuple(_patch(one, index, written, seat, added) for one, index, written in given)


def _counts(written: ConfigPatch, seat: Seat) -> bool:
    """Tells whether a patch is one that the loader lets pass, and does not reach for other seats: of that idle.py tells."""
    patch, target = written.patch, written.apply_to
    if patch is None or target is None or patch.operation not in OPERATIONS[target]:
        return False
    return not (seat.shared and trespass(patch.value))


def _added(given: Iterable[ConfigPatch]) -> Added:
    names: dict[str | None, set[str]] = {"CLUSTER": set(), "EXTENSION_CONFIG": set()}
    for written in given:
        if written.apply_to in names and written.patch and written.patch.operation == "ADD":
            names[written.apply_to].add(str((written.patch.value or {}).get("name", "")))
    return Added(frozenset(names["CLUSTER"]), frozenset(names["EXTENSION_CONFIG"]))


def _patch(one: EnvoyFilter, index: int, written: ConfigPatch, seat: Seat, added: Added) -> Patch:
    patch, target = written.patch, written.apply_to
    assert patch is not None, "others do not count"
    assert patch.operation is not None, "others do not count"
    assert target is not None, "others do not count"
    plain = patch.operation in _INSERTS and target not in _ORDERED
    return Patch(
        key=one.key,
        digest=one.digest,
        index=index,
        seat=seat,
        added=added,
        target=target,
        operation="ADD" if plain else patch.operation,
        match=written.match,
        value=at_seat(patch.value or {}, TYPES[target], seat, added),
        filter_class=patch.filter_class,
    )
