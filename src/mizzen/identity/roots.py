"""The roots that Mizzen makes itself, on disk: which there are, in which stage, and their files.

    authority.json        the truth: trust domain, roots and their stages; replaced in one step, so every change of
                          stage happens wholly or not at all
    root.key, root.crt    the first root; later ones are root-2.key, root-2.crt and so on

Files are written before the state names them and removed after it no longer does, so a crash leaves at most a file
that nobody uses. More certificates behind the first of a .crt file are trusted, too: that is how an operator
announces a root of their own before they bring it. `rotation.py` decides, this module keeps; the caller holds the lock.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mizzen.identity import certificates as certs
from mizzen.identity import issuer as issuers
from mizzen.identity import keystore, rotation
from mizzen.identity.errors import AuthorityError
from mizzen.identity.issuer import Issuer
from mizzen.identity.rotation import RotationError, Slot, Slots, Stage, Step

log = structlog.get_logger(__name__)

STATE_FILE = "authority.json"
_FIRST = "root"
_FORMAT = 1


class RootEntry(msgspec.Struct, frozen=True, rename="camel"):
    """One root in the state file; its validity is in its certificate."""

    name: str
    stage: Stage
    since: float


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The state file. ``roots`` is empty where the operator has always brought the authority."""

    version: int = _FORMAT
    trust_domain: str
    longest_lifetime: float = 0.0
    roots: tuple[RootEntry, ...] = ()


def load_state(folder: Path, trust_domain: str) -> State:
    """Reads the state, or makes the first one. Raises :class:`AuthorityError` if it is for another trust domain."""
    path = folder / STATE_FILE
    if not path.exists():
        return State(trust_domain=trust_domain)
    try:
        state = msgspec.json.decode(keystore.read(path), type=State)
    except msgspec.DecodeError as error:
        raise AuthorityError(f"is damaged: {error}", where=path, hint=keystore.RESTORE) from error
    if state.version != _FORMAT:
        raise AuthorityError(
            f"has the format {state.version}, this version of Mizzen knows {_FORMAT}",
            where=path,
            hint="use the version of Mizzen that wrote it",
        )
    if state.trust_domain != trust_domain:
        raise AuthorityError(
            f"the authority was made for the trust domain {state.trust_domain}, the mesh is set to {trust_domain}",
            where=path,
            hint=f"set it back to {state.trust_domain}, or move the folder away: all workloads then get new identities",
        )
    return state


def save_state(folder: Path, state: State) -> None:
    keystore.write(folder / STATE_FILE, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n", 0o600)


def slots_of(folder: Path, state: State) -> Slots:
    """Returns the rotation's state. Raises :class:`AuthorityError` if the file makes no sense."""
    try:
        return Slots(tuple(_slot(folder, entry) for entry in state.roots), state.longest_lifetime)
    except RotationError as error:
        raise AuthorityError(f"is damaged: {error}", where=folder / STATE_FILE, hint=keystore.RESTORE) from error


def _with_slots(state: State, slots: Slots) -> State:
    entries = tuple(RootEntry(slot.name, slot.stage, slot.since) for slot in slots.roots)
    return msgspec.structs.replace(state, roots=entries)


def create_first(folder: Path, state: State, now: float) -> State:
    """Makes the first root, or takes over a root.key and root.crt that are there.

    The key is written first: a lone key is what a crash leaves, and is used; a lone certificate is not, and refused.
    """
    keystore.close_folder(folder)
    certificate = _make(folder, _FIRST, state.trust_domain, now)
    key = keystore.read_key(folder / f"{_FIRST}.key")
    with issuers.about(folder / f"{_FIRST}.crt"):
        issuers.check(Issuer(key, certificate), state.trust_domain, now)
    first = msgspec.structs.replace(state, roots=(RootEntry(_FIRST, Stage.ACTIVE, now),))
    save_state(folder, first)
    log.info("root made", folder=str(folder), trust_domain=state.trust_domain)
    return first


def _prepare(folder: Path, slots: Slots, trust_domain: str, now: float) -> Slots:
    """Makes the next root; it is trusted, but does not sign."""
    name = f"{_FIRST}-{max(map(_number, slots.roots)) + 1}"
    # What a crash left; the state does not name it, so nothing was ever signed with it.
    keystore.remove(folder / f"{name}.key")
    keystore.remove(folder / f"{name}.crt")
    valid = certs.validity(_make(folder, name, trust_domain, now))
    return rotation.prepare(slots, name, not_before=valid.not_before, not_after=valid.not_after, now=now)


def due_step(slots: Slots, now: float) -> Step | None:
    """Returns the step to take now, if any.

    A root that ended before its successor was made is not replaced here: everything is cut off then, and an operator
    must know why.
    """
    due = rotation.next_due(slots)
    if due.at > now or (due.step is Step.PREPARE and slots.active.not_after <= now):
        return None
    return due.step


def rotate(folder: Path, state: State, step: Step, now: float) -> State:
    """Takes one step of the rotation and keeps the new state, which is returned."""
    slots = slots_of(folder, state)
    after = _take(folder, slots, step, state.trust_domain, now)
    changed = _with_slots(state, after)
    save_state(folder, changed)
    log.info("root rotation", step=str(step), active=after.active.name, trusted=[slot.name for slot in after.roots])
    return changed


def _take(folder: Path, slots: Slots, step: Step, trust_domain: str, now: float) -> Slots:
    match step:
        case Step.PREPARE:
            return _prepare(folder, slots, trust_domain, now)
        case Step.ACTIVATE:
            after = rotation.activate(slots, now)
            # Before it is final: a prepared root whose files were damaged meanwhile must not take over.
            active_issuer(folder, after, trust_domain, now)
            return after
        case Step.RETIRE:
            return rotation.retire(slots, now)


def sweep(folder: Path, before: Slots, after: Slots) -> None:
    """Removes files that are of no more use: the keys of roots that sign no more, all of roots that are gone."""
    for slot in after.old:
        keystore.remove(folder / f"{slot.name}.key")
    for name in {slot.name for slot in before.roots} - {slot.name for slot in after.roots}:
        keystore.remove(folder / f"{name}.key")
        keystore.remove(folder / f"{name}.crt")


def active_issuer(folder: Path, slots: Slots, trust_domain: str, now: float) -> Issuer:
    """Returns the checked issuer. Raises :class:`AuthorityError`."""
    name = slots.active.name
    issuer = Issuer(keystore.read_key(folder / f"{name}.key"), _root(folder, name)[0])
    with issuers.about(folder / f"{name}.crt"):
        if not issuers.issued_by(issuer.certificate, issuer.certificate):
            raise AuthorityError(
                f"{issuers.name(issuer.certificate)} is not a root: it did not sign itself",
                hint="an intermediate goes into ca.crt and ca.key, its root into root.crt",
            )
        issuers.check(issuer, trust_domain, now)
    return issuer


def trusted(folder: Path, slots: Slots) -> tuple[x509.Certificate, ...]:
    """Returns all roots to trust, in the order of their making."""
    each = (one for slot in slots.roots for one in _root(folder, slot.name))
    return tuple(dict.fromkeys(each))


def _make(folder: Path, name: str, trust_domain: str, now: float) -> x509.Certificate:
    key_file, certificate_file = folder / f"{name}.key", folder / f"{name}.crt"
    if certificate_file.exists() and not key_file.exists():
        raise AuthorityError(
            f"is there without {key_file.name}",
            where=certificate_file,
            hint="put its key beside it; for an authority of your own, add ca.crt and ca.key; or move the file away",
        )
    if not key_file.exists():
        keystore.write_key(key_file, ec.generate_private_key(ec.SECP256R1()))
    if not certificate_file.exists():
        certificate = certs.new_root(keystore.read_key(key_file), trust_domain, now)
        keystore.write(certificate_file, certs.pem([certificate]).encode(), 0o644)
    return _root(folder, name)[0]


def _slot(folder: Path, entry: RootEntry) -> Slot:
    valid = certs.validity(_root(folder, entry.name)[0])
    return Slot(entry.name, entry.stage, entry.since, valid.not_before, valid.not_after)


def _root(folder: Path, name: str) -> tuple[x509.Certificate, ...]:
    found = keystore.read_certificates(folder / f"{name}.crt")
    with issuers.about(folder / f"{name}.crt"):
        for one in found:
            issuers.check_authority(one)
    return found


def _number(slot: Slot) -> int:
    _, _, number = slot.name.partition("-")
    return int(number) if number.isdecimal() else 1
