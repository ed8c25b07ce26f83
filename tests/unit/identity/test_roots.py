"""One root follows another: the authority on disk, with real certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.x509.verification import VerificationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.identity.pki import (
    DAY,
    NOW,
    REVIEWS,
    Clock,
    ca,
    certificates,
    ec_key,
    issue,
    mode,
    open_at,
    put,
    put_key,
    verify,
)

from mizzen.identity import AuthorityError, keystore
from mizzen.identity.rotation import MARGIN, Stage, Step
from mizzen.registry.reports import IssuedCertificate

YEAR = 365 * DAY


def test_a_rotation_from_end_to_end(folder: Path) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    first = issue(authority)

    authority.rotate_root()
    authority.rotate_root()  # under way already: nothing more
    assert len(certificates(authority.roots_pem)) == 2
    assert mode(folder / "root-2.key") == 0o600
    second = issue(authority)
    assert certificates(second.chain)[0].issuer == certificates(first.chain)[0].issuer
    assert authority.advance() == ()

    clock.now += DAY + MARGIN
    assert authority.advance() == (Step.ACTIVATE,)
    assert not (folder / "root.key").exists()
    third = issue(authority)
    assert verify(third.chain, first.roots + second.roots, clock.now) == [str(REVIEWS)]
    assert verify(third.chain, second.roots, clock.now) == [str(REVIEWS)]
    with pytest.raises(VerificationError):
        verify(third.chain, first.roots, clock.now)

    clock.now += DAY + MARGIN
    assert authority.advance() == (Step.RETIRE,)
    assert len(certificates(authority.roots_pem)) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["authority.json", "lock", "root-2.crt", "root-2.key"]
    assert open_at(folder, clock).roots_pem == authority.roots_pem


def test_a_rotation_goes_on_after_a_restart_at_every_stage(folder: Path) -> None:
    clock = Clock()
    issue(open_at(folder, clock))
    open_at(folder, clock).rotate_root()
    assert len(certificates(open_at(folder, clock).roots_pem)) == 2
    clock.now += DAY + MARGIN
    reopened = open_at(folder, clock)
    assert reopened.slots
    assert [slot.stage for slot in reopened.slots.roots] == [Stage.OLD, Stage.ACTIVE]
    clock.now += DAY + MARGIN
    retired = open_at(folder, clock)
    assert retired.slots
    assert [slot.name for slot in retired.slots.roots] == ["root-2"]
    retired.rotate_root()
    assert (folder / "root-3.key").exists()


def test_roots_follow_each_other_by_themselves(folder: Path) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    issue(authority)
    taken: list[Step] = []
    for _ in range(9):
        due = authority.next_due()
        assert due
        clock.now = due.at
        taken += authority.advance()
        assert authority.health().ok
    assert taken == [Step.PREPARE, Step.ACTIVATE, Step.RETIRE] * 3
    assert clock.now > NOW + 20 * YEAR


def test_a_longer_lifetime_is_waited_for_even_after_a_restart(folder: Path) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    issue(authority, lifetime=7 * DAY)
    issue(authority, lifetime=DAY)
    authority.rotate_root()
    clock.now += 6 * DAY
    assert authority.advance() == ()
    assert open_at(folder, clock).next_due() == authority.next_due()
    clock.now += DAY + MARGIN
    assert authority.advance() == (Step.ACTIVATE,)


def test_a_damaged_next_root_does_not_take_over(folder: Path) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    issue(authority)
    authority.rotate_root()
    put_key(folder / "root-2.key", ec_key())
    clock.now += DAY + MARGIN
    with pytest.raises(AuthorityError, match=r"root-2\.crt: the key does not fit"):
        authority.advance()
    for survivor in (authority, open_at(folder, clock)):
        issued = issue(survivor)
        assert verify(issued.chain, issued.roots, clock.now)
        assert survivor.slots
        assert survivor.slots.active.name == "root"


def test_what_a_crash_left_of_a_next_root_is_made_anew(folder: Path) -> None:
    authority = open_at(folder, Clock())
    stale, stale_key = ca("stale", ec_key()), ec_key()
    put_key(folder / "root-2.key", stale_key)
    put(folder / "root-2.crt", stale)
    authority.rotate_root()
    assert stale not in certificates(authority.roots_pem)
    assert keystore.read_key(folder / "root-2.key").public_key() != stale_key.public_key()


def test_a_crash_before_the_old_key_is_removed_is_mended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    issue(authority)
    authority.rotate_root()
    clock.now += DAY + MARGIN
    with monkeypatch.context() as patch:
        patch.setattr(keystore, "remove", _crash)
        with pytest.raises(AuthorityError, match="power"):
            authority.advance()
    assert (folder / "root.key").exists()
    # What was decided is in force already, in this process and in the next.
    assert authority.slots
    assert authority.slots.active.name == "root-2"
    assert verify(issue(authority).chain, (folder / "root-2.crt").read_text(), clock.now)
    open_at(folder, clock)
    assert not (folder / "root.key").exists()


def _crash(_path: Path) -> None:
    raise AuthorityError("the power failed")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.tuples(st.sampled_from(["wait", "rotate", "advance", "restart"]), st.floats(0, 1.2)), max_size=14)
)
def test_every_live_certificate_verifies_against_every_live_bundle(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, float]]
) -> None:
    folder = tmp_path_factory.mktemp("authority") / "ca"
    clock = Clock()
    authority = open_at(folder, clock)
    issued: list[IssuedCertificate] = []
    for move, share in moves:
        match move:
            case "wait":
                clock.now += share * DAY
            case "rotate":
                authority.rotate_root()
            case "advance":
                authority.advance()
            case "restart":
                authority = open_at(folder, clock)
        issued = [one for one in [*issued, issue(authority)] if one.not_after > clock.now]
        for one in issued:
            for bundle in {other.roots for other in issued}:
                assert verify(one.chain, bundle, clock.now) == [str(REVIEWS)]
