"""When a certificate is renewed, when to try again, and what that means for its health. Pure; `renewer.py` acts on it.

Renewal begins at half of a certificate's life, spread so that a thousand workloads that started together do not ask
together; an authority that is away for less than the other half is not noticed. All times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.identity import certificates as certs
from mizzen.identity.errors import IssueError
from mizzen.identity.health import Health, HealthState, duration
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import IssuedCertificate

# A certificate is renewed at half of its life, give or take a tenth of it.
_HALF = 0.5
_SPREAD = 0.1
# At seven tenths the renewal has failed for a good while, and three tenths are left to do something about it.
_OVERDUE = 0.7
_SHORTEST = 1.0

_FIRST_RETRY = 0.25
_LONGEST_RETRY = 30.0
# Retries of a certificate with a short life must fit into what is left of it.
_RETRY_SHARE = 0.05


@dataclass(frozen=True)
class KeyMaterial:
    """What a proxy needs to prove and to check identities, in PEM: its key, its chain, and the roots that it trusts."""

    key: str = field(repr=False)
    chain: str
    roots: str


@dataclass(frozen=True)
class Window:
    """The life of a certificate as its holder sees it: from when it was got, not from its backdated beginning."""

    got: float
    not_after: float

    @property
    def length(self) -> float:
        return max(self.not_after - self.got, 0.0)


def renew_at(window: Window, chance: float) -> float:
    """Returns when to renew; ``chance`` in [0, 1) spreads it. A second is the least between two renewals."""
    share = _HALF + _SPREAD * (2 * chance - 1)
    return window.got + max(window.length * share, _SHORTEST)


def retry_delay(failures: int, window: Window | None, chance: float) -> float:
    """Returns how many seconds to wait after so many failures in a row: doubling, half of it by chance."""
    longest = _LONGEST_RETRY if window is None else min(_LONGEST_RETRY, max(window.length * _RETRY_SHARE, _FIRST_RETRY))
    # The exponent is bounded for the sake of floats: an authority may be away for weeks.
    delay: float = min(_FIRST_RETRY * 2 ** min(failures - 1, 20), longest)
    return delay * (1 + chance) / 2


def health(window: Window | None, failure: str, now: float) -> Health:
    """Tells how a workload's certificate is; ``failure`` is the last error since it was got, or empty."""
    because = f": {failure}" if failure else ""
    if window is None:
        return Health(HealthState.PENDING, f"no certificate yet{because}")
    left = window.not_after - now
    if left <= 0:
        return Health(HealthState.EXPIRED, f"the certificate expired {duration(-left)} ago{because}", window.not_after)
    if now >= window.got + window.length * _OVERDUE:
        message = f"the certificate expires in {duration(left)} and could not be renewed{because}"
        return Health(HealthState.EXPIRING, message, window.not_after)
    return Health(HealthState.OK, failure, window.not_after)


def accept(issued: IssuedCertificate, key_pem: str, identity: SpiffeId, now: float) -> Window:
    """Checks what the authority answered, before a proxy gets it. Raises :class:`IssueError`."""
    try:
        leaf = certs.read(issued.chain.encode())[0]
        certs.read(issued.roots.encode())
    except certs.UNREADABLE as error:
        raise IssueError(f"the authority's answer is not in PEM: {error}") from error
    if (names := certs.uri_names(leaf)) != [str(identity)]:
        raise IssueError(f"the authority's certificate is for {names}, not for {identity}")
    if load_pem_private_key(key_pem.encode(), password=None).public_key() != leaf.public_key():
        raise IssueError("the authority's certificate is for another key")
    valid = certs.validity(leaf)
    if not valid.not_before <= now < valid.not_after:
        raise IssueError(
            f"the authority's certificate is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}, "
            "which is not now: check the clocks"
        )
    return Window(now, valid.not_after)
