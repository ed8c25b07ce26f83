"""How one root follows another without a moment in which a peer distrusts a peer. Pure: states in, states out.

A root goes through three stages, as SPIRE's key slots do:

    PREPARED ──activate──► ACTIVE ──(the next one is activated)──► OLD ──retire──► gone
    trusted                trusted, signs                         trusted

A node learns which roots to trust with every certificate that it gets, so all that hold an unexpired certificate know
a root that was prepared one certificate lifetime ago; and nobody needs an old root one lifetime after it signed last.
These two waits are all there is to it. `authority.py` keeps the state on disk and makes the keys; the control plane
calls it when a step is due.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from mizzen.identity.errors import IdentityError

# Both waits are longer by this, for clocks that differ and for an answer that is on its way, in seconds.
MARGIN = 300.0


class Stage(enum.StrEnum):
    PREPARED = "prepared"
    ACTIVE = "active"
    OLD = "old"


class Step(enum.StrEnum):
    PREPARE = "prepare"
    ACTIVATE = "activate"
    RETIRE = "retire"


@dataclass(frozen=True)
class Slot:
    """One root: the stem of its files' names, its stage and since when, its validity. Times are Unix seconds."""

    name: str
    stage: Stage
    since: float
    not_before: float
    not_after: float


@dataclass(frozen=True)
class Slots:
    """All roots, oldest first; exactly one is active. ``longest`` is the longest lifetime ever signed, in seconds."""

    roots: tuple[Slot, ...]
    longest: float

    def __post_init__(self) -> None:
        stages = [slot.stage for slot in self.roots]
        if stages.count(Stage.ACTIVE) != 1 or stages.count(Stage.PREPARED) > 1:
            raise RotationError(f"there must be one active root and at most one prepared, not: {', '.join(stages)}")
        if len({slot.name for slot in self.roots}) != len(self.roots):
            raise RotationError("two roots have one name")

    @property
    def active(self) -> Slot:
        return next(slot for slot in self.roots if slot.stage is Stage.ACTIVE)

    @property
    def prepared(self) -> Slot | None:
        return next((slot for slot in self.roots if slot.stage is Stage.PREPARED), None)

    @property
    def old(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.roots if slot.stage is Stage.OLD)


@dataclass(frozen=True, order=True)
class Due:
    """A step of the rotation and the Unix time from which it may and should be taken."""

    at: float
    step: Step


class RotationError(IdentityError):
    """A step was asked for that the state does not allow; a bug of the caller, or a damaged state file."""


def next_due(slots: Slots) -> Due:
    """Returns the earliest step that is to come; there always is one, as every root ends some day."""
    dues = [Due(_retires_at(slot, slots.longest), Step.RETIRE) for slot in slots.old]
    if slots.prepared:
        dues.append(Due(_activates_at(slots, slots.prepared), Step.ACTIVATE))
    else:
        dues.append(Due(_prepares_at(slots), Step.PREPARE))
    return min(dues)


def prepare(slots: Slots, name: str, *, not_before: float, not_after: float, now: float) -> Slots:
    """Adds a new root that is trusted and does not sign yet. Raises :class:`RotationError` if there is one already."""
    fresh = Slot(name, Stage.PREPARED, now, not_before, not_after)
    return replace(slots, roots=(*slots.roots, fresh))


def activate(slots: Slots, now: float) -> Slots:
    """Lets the prepared root sign. Raises :class:`RotationError` if there is none, or not every node knows it yet."""
    prepared = slots.prepared
    if prepared is None:
        raise RotationError("no root is prepared")
    if now < _activates_at(slots, prepared):
        raise RotationError(f"{prepared.name} may not sign before {_activates_at(slots, prepared):.0f}, now {now:.0f}")
    follows = {Stage.ACTIVE: Stage.OLD, Stage.PREPARED: Stage.ACTIVE}
    roots = tuple(
        replace(slot, stage=follows[slot.stage], since=now) if slot.stage in follows else slot for slot in slots.roots
    )
    return replace(slots, roots=roots)


def retire(slots: Slots, now: float) -> Slots:
    """Drops the old roots that signed no certificate that is still in force."""
    roots = tuple(slot for slot in slots.roots if slot.stage is not Stage.OLD or now < _retires_at(slot, slots.longest))
    return replace(slots, roots=roots)


def _prepares_at(slots: Slots) -> float:
    """A sixth of the root's life before its end, and never so late that the waits do not fit."""
    active = slots.active
    return active.not_after - max((active.not_after - active.not_before) / 6, 3 * (slots.longest + MARGIN))


def _activates_at(slots: Slots, prepared: Slot) -> float:
    """When all know the prepared root. One that was prepared too late for that takes over while the active one lasts:

    certificates then end with the active root, and every node asks for the next one at half of what is left.
    """
    left = max(slots.active.not_after - prepared.since, 0.0)
    return prepared.since + min(slots.longest + MARGIN, left * 3 / 4)


def _retires_at(slot: Slot, longest: float) -> float:
    """When the last certificate of an old root has ended; no certificate outlives its root."""
    return min(slot.since + longest + MARGIN, slot.not_after)
