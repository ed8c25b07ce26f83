"""The certificate authority of a mesh: its own root, or what an operator brings, and the rotation of its roots.

A thin shell: `certificates.py` and `issuer.py` know X.509, `rotation.py` decides when a root follows another,
`roots.py` and `operators.py` read and write the folder. The control plane signs with it, calls `advance` when
`next_due` says so, and shows `health`. One process signs at a time: the control plane of the mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import structlog

from mizzen.identity import certificates as certs
from mizzen.identity import issuer as issuers
from mizzen.identity import keystore, operators, roots, rotation
from mizzen.identity.errors import AuthorityError, RequestRefusedError
from mizzen.identity.health import Health, HealthState
from mizzen.identity.issuer import Issuer
from mizzen.identity.roots import State
from mizzen.identity.rotation import Due, Slots, Step
from mizzen.mesh.spiffe import SpiffeId, SpiffeIdError, check_trust_domain
from mizzen.registry.reports import IssuedCertificate

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Holding:
    """What is in force: read from the folder, replaced as a whole. ``slots`` is None for an operator's authority."""

    state: State
    slots: Slots | None
    issuer: Issuer
    roots_pem: str


class Authority:
    """Signs workload certificates for one trust domain. Get one with :meth:`open`."""

    def __init__(self, folder: Path, trust_domain: str, clock: Callable[[], float], holding: _Holding) -> None:
        self.trust_domain = trust_domain
        self._folder = folder
        self._clock = clock
        self._holding = holding

    @classmethod
    def open(cls, folder: Path, trust_domain: str, *, clock: Callable[[], float]) -> Authority:
        """Opens the authority in ``folder``; makes a root on first use. ``clock`` gives Unix time in seconds.

        Steps of a rotation that became due meanwhile are taken; one that fails is logged. Processes that open one
        folder at the same time get the same root. Raises :class:`AuthorityError` if the authority cannot sign for
        ``trust_domain`` now.
        """
        try:
            check_trust_domain(trust_domain)
        except SpiffeIdError as error:
            raise AuthorityError(str(error), hint="set another trust domain") from error
        keystore.prepare_folder(folder)
        with keystore.locked(folder):
            holding = _load(folder, trust_domain, clock())
        authority = cls(folder, trust_domain, clock, holding)
        health = authority.health()
        if health.state is HealthState.EXPIRING:
            log.warning("authority expires soon", folder=str(folder), problem=health.message)
        return authority

    @property
    def roots_pem(self) -> str:
        """The trust bundle: every root that a peer's certificate may lead to, in PEM."""
        return self._holding.roots_pem

    @property
    def slots(self) -> Slots | None:
        """The roots and their stages; None for an operator's authority."""
        return self._holding.slots

    def sign(self, csr_pem: str, identity: SpiffeId, lifetime: float) -> IssuedCertificate:
        """Signs a request of ``identity``, which the caller has authenticated; ``lifetime`` in seconds.

        The certificate ends earlier if the authority's own does. Nothing of the request but its key is used. Raises
        :class:`RequestRefusedError`, and :class:`AuthorityError` if the authority's certificate has expired.
        """
        if identity.trust_domain != self.trust_domain:
            raise RequestRefusedError(f"{identity} is not of the trust domain {self.trust_domain}")
        holding = self._holding
        issued = holding.issuer.sign(csr_pem, identity, lifetime, roots_pem=holding.roots_pem, now=self._clock())
        if lifetime > holding.state.longest_lifetime:
            # Before it is handed out: a rotation waits for the longest certificate that is about.
            self._remember_lifetime(lifetime)
        return issued

    def health(self) -> Health:
        """Tells how long certificates of full length can still be signed."""
        return issuers.health(self._holding.issuer, self._holding.state.longest_lifetime, self._clock())

    def next_due(self) -> Due | None:
        """Tells when :meth:`advance` has something to do; None for an operator's authority."""
        return rotation.next_due(self._holding.slots) if self._holding.slots else None

    def rotate_root(self) -> None:
        """Begins a rotation now: makes the next root and trusts it; :meth:`advance` does the rest when it is due.

        Does nothing while a rotation is under way. Raises :class:`AuthorityError` for an operator's authority.
        """
        slots = self._holding.slots
        if slots is None:
            raise AuthorityError(
                "the root is the operator's own and not rotated by Mizzen",
                where=self._folder / "ca.crt",
                hint="add the new root to root.crt, wait one certificate lifetime, then replace ca.crt and ca.key",
            )
        if slots.prepared is None:
            self._rotate(lambda found: None if found.prepared else Step.PREPARE, self._clock())

    def advance(self) -> tuple[Step, ...]:
        """Takes the steps of the rotation that are due, and returns them. Workloads learn of it as they renew.

        Raises :class:`AuthorityError`; what was done until then stays done, and the rest is done by the next call.
        """
        now = self._clock()
        taken: list[Step] = []
        while (due := self.next_due()) and due.at <= now:
            step = self._rotate(lambda slots: roots.due_step(slots, now), now)
            if step is None:
                break
            taken.append(step)
        return tuple(taken)

    def _rotate(self, choose: Callable[[Slots], Step | None], now: float) -> Step | None:
        """Takes the step that ``choose`` names in view of what is in the folder, and holds what follows from it."""
        with keystore.locked(self._folder):
            state = roots.load_state(self._folder, self.trust_domain)
            before = roots.slots_of(self._folder, state)
            step = choose(before)
            if step is not None:
                state = roots.rotate(self._folder, state, step, now)
            self._holding = _hold(self._folder, state, now)
            roots.sweep(self._folder, before, self._holding.slots or before)
        return step

    def _remember_lifetime(self, lifetime: float) -> None:
        """Keeps the longest lifetime that was ever signed, for the waits of a rotation."""
        with keystore.locked(self._folder):
            found = roots.load_state(self._folder, self.trust_domain)
            state = msgspec.structs.replace(found, longest_lifetime=max(found.longest_lifetime, lifetime))
            roots.save_state(self._folder, state)
        slots = self._holding.slots and replace(self._holding.slots, longest=state.longest_lifetime)
        self._holding = replace(self._holding, state=state, slots=slots)


def _load(folder: Path, trust_domain: str, now: float) -> _Holding:
    """Reads what is in force, and makes it on first use. The caller holds the lock."""
    state = roots.load_state(folder, trust_domain)
    if operators.present(folder):
        issuer, bundle = operators.load(folder, trust_domain, now)
        if not (folder / roots.STATE_FILE).exists():
            roots.save_state(folder, state)
        return _Holding(state, None, issuer, certs.pem(bundle))
    if not state.roots:
        state = roots.create_first(folder, state, now)
    before = slots = roots.slots_of(folder, state)
    try:
        while step := roots.due_step(slots, now):
            state = roots.rotate(folder, state, step, now)
            slots = roots.slots_of(folder, state)
    except AuthorityError as error:
        # The active root may still do; `advance` meets the same error and tells its caller.
        log.exception("root rotation failed", problem=str(error))
    roots.sweep(folder, before, slots)
    return _hold(folder, state, now)


def _hold(folder: Path, state: State, now: float) -> _Holding:
    slots = roots.slots_of(folder, state)
    issuer = roots.active_issuer(folder, slots, state.trust_domain, now)
    return _Holding(state, slots, issuer, certs.pem(roots.trusted(folder, slots)))
