"""What may sign: a key, its certificate, the way up to the roots, and whether all that fits together. Pure.

`Issuer` is checked when it is made, so that an authority which cannot work is refused when it is opened, and not by
every peer at its first handshake. Rules: RFC 5280, section 6.1; X509-SVID, section 5.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mizzen.identity import certificates as certs
from mizzen.identity.certificates import SigningKey, Validity
from mizzen.identity.errors import AuthorityError, RequestRefusedError
from mizzen.identity.health import Health, HealthState, duration
from mizzen.identity.rotation import MARGIN
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import IssuedCertificate


@dataclass(frozen=True)
class Issuer:
    """The key that signs now, its certificate, and ``above`` it the certificates up to and including its root."""

    key: SigningKey = field(repr=False)
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @cached_property
    def validity(self) -> Validity:
        """When all certificates of the chain are valid."""
        each = [certs.validity(certificate) for certificate in (self.certificate, *self.above)]
        return Validity(max(one.not_before for one in each), min(one.not_after for one in each))

    @cached_property
    def chain_pem(self) -> str:
        """What a peer needs besides a leaf: all but the root, which it must have already."""
        return certs.pem((self.certificate, *self.above)[:-1])

    def sign(
        self, csr_pem: str, identity: SpiffeId, lifetime: float, *, roots_pem: str, now: float
    ) -> IssuedCertificate:
        """Signs a request. Raises :class:`RequestRefusedError`, and :class:`AuthorityError` if the root has ended."""
        public = certs.requested_key(csr_pem, identity)
        if not 1 <= lifetime <= certs.ROOT_LIFETIME:
            raise RequestRefusedError(f"a lifetime of {lifetime} seconds is not between one second and ten years")
        valid = certs.leaf_validity(lifetime, self.validity, now)
        if now >= valid.not_after:
            raise AuthorityError("the authority's certificate has expired", hint=_EXPIRED_HINT)
        if now < valid.not_before:
            raise AuthorityError("the authority's certificate is not valid yet", hint="check this machine's clock")
        leaf = certs.new_leaf(public, identity, valid, self.key, self.certificate)
        actual = certs.validity(leaf)
        return IssuedCertificate(
            chain=certs.pem([leaf]) + self.chain_pem,
            roots=roots_pem,
            not_before=actual.not_before,
            not_after=actual.not_after,
        )


_EXPIRED_HINT = (
    "no certificate can be issued any more: put a new certificate in place, or move the folder away to start with a "
    "new root, and restart the mesh"
)


def check(issuer: Issuer, trust_domain: str, now: float) -> None:
    """Raises :class:`AuthorityError` (without ``where``) unless the issuer can sign for the trust domain now."""
    certificate = issuer.certificate
    try:
        certs.strong(certificate.public_key())
    except certs.WeakKeyError as error:
        raise AuthorityError(str(error)) from error
    if issuer.key.public_key() != certificate.public_key():
        raise AuthorityError("the key does not fit the certificate", hint="put the two files of one pair in place")
    for depth, one in enumerate((certificate, *issuer.above)):
        check_authority(one, depth)
        check_time(one, now)
        check_trust_domain(one, trust_domain)
    for child, parent in zip((certificate, *issuer.above), issuer.above, strict=False):
        if not issued_by(child, parent):
            raise AuthorityError(f"{name(child)} was not signed by {name(parent)}")


def check_authority(certificate: x509.Certificate, depth: int = 0) -> None:
    """Raises :class:`AuthorityError` unless the certificate may sign others, ``depth`` authorities below it."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise AuthorityError(
            f"{name(certificate)} is not a certificate authority's: {error}", hint=_NOT_CA_HINT
        ) from error
    if not constraints.ca or not usage.key_cert_sign:
        raise AuthorityError(f"{name(certificate)} is not a certificate authority's", hint=_NOT_CA_HINT)
    if constraints.path_length is not None and constraints.path_length < depth:
        raise AuthorityError(
            f"{name(certificate)} allows {constraints.path_length} authorities below it, here are {depth}"
        )


_NOT_CA_HINT = "it needs basicConstraints CA:TRUE and keyUsage keyCertSign; a server's certificate cannot be used"


def check_time(certificate: x509.Certificate, now: float) -> None:
    """Raises :class:`AuthorityError` unless the certificate is valid now."""
    valid = certs.validity(certificate)
    if now >= valid.not_after:
        raise AuthorityError(
            f"{name(certificate)} expired {duration(now - valid.not_after)} ago, "
            f"at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            hint=_EXPIRED_HINT,
        )
    if now < valid.not_before:
        raise AuthorityError(
            f"{name(certificate)} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on",
            hint="check this machine's clock",
        )


def check_trust_domain(certificate: x509.Certificate, trust_domain: str) -> None:
    """Raises :class:`AuthorityError` if the certificate is for another trust domain. Not every one says which."""
    for uri in certs.uri_names(certificate):
        if uri.startswith("spiffe://") and uri.removeprefix("spiffe://").split("/")[0] != trust_domain:
            raise AuthorityError(f"{name(certificate)} is for {uri}, the mesh's trust domain is {trust_domain}")


def issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def way_up(
    certificate: x509.Certificate, between: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    """Returns the certificates above one, in order, up to and including a root; empty if it is a root itself.

    Raises :class:`AuthorityError` if no root is reached.
    """
    if certificate in roots:
        return ()
    for root in roots:
        if issued_by(certificate, root):
            return (root,)
    rest = tuple(one for one in between if one != certificate)
    for one in rest:
        if issued_by(certificate, one):
            return (one, *way_up(one, tuple(other for other in rest if other != one), roots))
    raise AuthorityError(f"no chain leads from {name(certificate)} to a trusted root")


def health(issuer: Issuer, longest: float, now: float) -> Health:
    """Tells how long the authority can still sign certificates of full length; a rotation ought to come well before."""
    valid = issuer.validity
    left = valid.not_after - now
    if left <= 0:
        message = f"the authority's certificate expired {duration(-left)} ago: {_EXPIRED_HINT}"
        return Health(HealthState.EXPIRED, message, valid.not_after)
    if left < max((valid.not_after - valid.not_before) / 12, 2 * (longest + MARGIN)):
        message = (
            f"the authority's certificate expires in {duration(left)}: replace it before all workloads are cut off"
        )
        return Health(HealthState.EXPIRING, message, valid.not_after)
    return Health(HealthState.OK, "", valid.not_after)


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """Says of an :class:`AuthorityError` that is raised inside which file it is about."""
    try:
        yield
    except AuthorityError as error:
        if error.where is not None:
            raise
        raise AuthorityError(error.what, where=path, hint=error.hint) from error


def name(certificate: x509.Certificate) -> str:
    """How a certificate is called in messages."""
    return f"the certificate {certificate.subject.rfc4514_string() or f'number {certificate.serial_number:x}'}"
