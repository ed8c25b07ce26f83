from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mizzen.identity import rotation
from mizzen.identity.rotation import MARGIN, Due, RotationError, Slot, Slots, Stage, Step

DAY = 86400.0
YEAR = 365 * DAY
ACTIVE = Slot("root", Stage.ACTIVE, 0.0, 0.0, 10 * YEAR)


@dataclass(frozen=True)
class Holding:
    """A node's certificate and the trust bundle that came with it."""

    signer: str
    bundle: frozenset[str]
    not_after: float


class Rotations(RuleBasedStateMachine):
    """Nodes renew whenever they like, the authority moves on whenever it may: no two of them ever distrust each other."""

    @initialize(longest=st.floats(1, 30 * DAY))
    def start(self, longest: float) -> None:
        self.now = 0.0
        self.slots = Slots((ACTIVE,), longest)
        self.made = 1
        self.nodes: dict[int, Holding] = {}
        self.rotations = 0

    @rule(share=st.floats(0, 2))
    def time_passes(self, share: float) -> None:
        self.now += share * self.slots.longest

    @rule()
    def time_passes_until_the_next_step(self) -> None:
        self.now = max(self.now, rotation.next_due(self.slots).at)

    @rule(node=st.integers(0, 5), share=st.floats(0.01, 1))
    def a_node_gets_a_certificate(self, node: int, share: float) -> None:
        active = self.slots.active
        if self.now >= active.not_after:
            return
        not_after = min(self.now + share * self.slots.longest, active.not_after)
        bundle = frozenset(slot.name for slot in self.slots.roots)
        self.nodes[node] = Holding(active.name, bundle, not_after)

    @rule(factor=st.floats(1, 3))
    def lifetimes_become_longer(self, factor: float) -> None:
        self.slots = replace(self.slots, longest=min(self.slots.longest * factor, 60 * DAY))

    @precondition(lambda self: self.slots.prepared is None)
    @rule()
    def the_operator_rotates(self) -> None:
        self._prepare()

    @rule()
    def the_control_plane_does_what_is_due(self) -> None:
        while (due := rotation.next_due(self.slots)).at <= self.now:
            match due.step:
                case Step.PREPARE:
                    self._prepare()
                case Step.ACTIVATE:
                    self.slots = rotation.activate(self.slots, self.now)
                    self.rotations += 1
                case Step.RETIRE:
                    fewer = rotation.retire(self.slots, self.now)
                    assert len(fewer.roots) < len(self.slots.roots)
                    self.slots = fewer

    def _prepare(self) -> None:
        self.made += 1
        end = self.now + 10 * YEAR
        name = f"root-{self.made}"
        self.slots = rotation.prepare(self.slots, name, not_before=self.now, not_after=end, now=self.now)

    @invariant()
    def every_live_node_trusts_every_other(self) -> None:
        if not hasattr(self, "slots"):
            return
        live = [node for node in self.nodes.values() if node.not_after > self.now]
        for one in live:
            for other in live:
                assert one.signer in other.bundle
            assert one.signer in {slot.name for slot in self.slots.roots}


RotationsTest = Rotations.TestCase
RotationsTest.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_a_whole_rotation() -> None:
    slots = Slots((ACTIVE,), DAY)
    slots = rotation.prepare(slots, "root-2", not_before=YEAR, not_after=11 * YEAR, now=YEAR)
    assert rotation.next_due(slots) == Due(YEAR + DAY + MARGIN, Step.ACTIVATE)
    assert slots.active.name == "root"

    moment = YEAR + DAY + MARGIN
    slots = rotation.activate(slots, moment)
    assert slots.active.name == "root-2"
    assert [slot.name for slot in slots.old] == ["root"]
    assert rotation.next_due(slots) == Due(moment + DAY + MARGIN, Step.RETIRE)

    assert rotation.retire(slots, moment + DAY) == slots
    slots = rotation.retire(slots, moment + DAY + MARGIN)
    assert [slot.name for slot in slots.roots] == ["root-2"]
    assert rotation.next_due(slots).step is Step.PREPARE


def test_the_next_root_is_prepared_a_sixth_of_its_life_before_the_end() -> None:
    assert rotation.next_due(Slots((ACTIVE,), DAY)) == Due(10 * YEAR - 10 * YEAR / 6, Step.PREPARE)


def test_the_waits_fit_into_the_life_of_a_short_root() -> None:
    short = replace(ACTIVE, not_after=10 * DAY)
    assert rotation.next_due(Slots((short,), 3 * DAY)).at == 10 * DAY - 3 * (3 * DAY + MARGIN)


def test_a_root_that_is_prepared_too_late_takes_over_before_the_old_one_ends() -> None:
    late = 10 * YEAR - 1000
    slots = rotation.prepare(Slots((ACTIVE,), DAY), "root-2", not_before=late, not_after=20 * YEAR, now=late)
    assert rotation.next_due(slots) == Due(late + 750, Step.ACTIVATE)


def test_an_old_root_is_not_kept_beyond_its_own_end() -> None:
    old = replace(ACTIVE, name="old", stage=Stage.OLD, since=0.0, not_after=100.0)
    assert rotation.next_due(Slots((old, ACTIVE), DAY)) == Due(100.0, Step.RETIRE)


def test_steps_out_of_order_are_refused() -> None:
    slots = Slots((ACTIVE,), DAY)
    with pytest.raises(RotationError, match="no root is prepared"):
        rotation.activate(slots, 0)
    slots = rotation.prepare(slots, "root-2", not_before=0, not_after=10 * YEAR, now=0)
    with pytest.raises(RotationError, match="at most one prepared"):
        rotation.prepare(slots, "root-3", not_before=0, not_after=10 * YEAR, now=0)
    with pytest.raises(RotationError, match="root-2 may not sign before"):
        rotation.activate(slots, DAY)


@pytest.mark.parametrize("roots", [(), (ACTIVE, replace(ACTIVE, name="b")), (ACTIVE, replace(ACTIVE, stage=Stage.OLD))])
def test_impossible_states_cannot_be_made(roots: tuple[Slot, ...]) -> None:
    with pytest.raises(RotationError):
        Slots(roots, DAY)
