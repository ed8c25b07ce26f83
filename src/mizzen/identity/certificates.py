"""X.509 as SPIFFE wants it: roots, workload certificates, and what is asked of a request. Pure: time is an argument.

`issuer.py` decides what may sign, `authority.py` keeps it; here is only what a certificate looks like.
Rules: X509-SVID, RFC 5280. Times are Unix seconds; certificates hold whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mizzen.identity.errors import IdentityError, RequestRefusedError
from mizzen.mesh.spiffe import SpiffeId
from mizzen.resources.certificates import read_certificates

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
WorkloadKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

ROOT_LIFETIME = 10 * 365 * 86400.0
# A root is valid a little before it is made, so that the certificates that it signs at once can be, too.
ROOT_BACKDATE = 3600.0
# Peers whose clocks are behind accept a certificate that was made this moment.
LEAF_BACKDATE = 60.0

# What the library raises for input that it cannot read; not all of it descends from ValueError.
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

# A request is a few hundred bytes; RSA keys larger than this cost the verifier more than they are worth.
_MAX_REQUEST = 32 * 1024
_MAX_RSA_BITS = 8192


@dataclass(frozen=True)
class Validity:
    """From when until when a certificate is valid."""

    not_before: float
    not_after: float


def validity(certificate: x509.Certificate) -> Validity:
    return Validity(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


def read(data: bytes) -> tuple[x509.Certificate, ...]:
    """Reads one or more certificates in PEM, with all that is in them. Raises one of UNREADABLE."""
    found = tuple(read_certificates(data))
    for one in found:
        # The library reads these two only when they are asked for.
        _ = one.extensions, one.public_key()
    return found


def pem(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


class WeakKeyError(IdentityError):
    """A key is not one that Envoy takes here for mutual TLS; the message says why, and what is."""


def strong(key: object) -> WorkloadKey:
    """Returns a public key if it is ECDSA on P-256 or P-384, or RSA of a fitting size; else raises WeakKeyError."""
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1()):
            return key
        case ec.EllipticCurvePublicKey():
            reason = f"the key is on the curve {key.curve.name}"
        case rsa.RSAPublicKey() if 2048 <= key.key_size <= _MAX_RSA_BITS:
            return key
        case rsa.RSAPublicKey():
            reason = f"the RSA key has {key.key_size} bits"
        case _:
            reason = f"the key is of the type {type(key).__name__}"
    raise WeakKeyError(f"{reason}; use ECDSA P-256 or P-384, or RSA with 2048 to {_MAX_RSA_BITS} bits")


def new_root(key: SigningKey, trust_domain: str, now: float, lifetime: float = ROOT_LIFETIME) -> x509.Certificate:
    """Makes a self-signed root that names its trust domain (X509-SVID, 3.1: a signing certificate's id has no path)."""
    serial = x509.random_serial_number()
    # Its number is in the name: a peer that holds two roots then need not try both for every certificate.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Mizzen"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Mizzen root {serial:x}"[:28]),
        ]
    )
    public = key.public_key()
    return (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=public, serial_number=serial)
        .not_valid_before(_moment(now - ROOT_BACKDATE))
        .not_valid_after(_moment(now + lifetime))
        # One level of intermediates: what another control plane would be given.
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, digest(key))
    )


def new_leaf(
    public: WorkloadKey, identity: SpiffeId, valid: Validity, key: SigningKey, issuer: x509.Certificate
) -> x509.Certificate:
    """Makes a workload's certificate (X509-SVID, 3-4): an empty subject, hence the critical name (RFC 5280, 4.2.1.6)."""
    return (
        x509.CertificateBuilder(
            issuer_name=issuer.subject,
            subject_name=x509.Name([]),
            public_key=public,
            serial_number=x509.random_serial_number(),
        )
        .not_valid_before(_moment(valid.not_before))
        .not_valid_after(_moment(valid.not_after))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(encipher_keys=isinstance(public, rsa.RSAPublicKey)), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=True)
        .add_extension(_authority_key_identifier(issuer), critical=False)
        .sign(key, digest(key))
    )


def requested_key(csr_pem: str, identity: SpiffeId) -> WorkloadKey:
    """Returns the key of a request for ``identity``; raises :class:`RequestRefusedError` if it may not be signed.

    The requester must hold the key, and the key must be strong. Whatever else a request asks for has no effect, but a
    request for another identity than the requester's is a mistake or an attack, and refused.
    """
    if len(csr_pem) > _MAX_REQUEST:
        raise RequestRefusedError(f"the request has {len(csr_pem)} characters, more than {_MAX_REQUEST}")
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        public = strong(csr.public_key())
        if not csr.is_signature_valid:
            raise RequestRefusedError("the request's signature does not fit its key")
        names = requested_uris(csr)
    except UNREADABLE as error:
        raise RequestRefusedError(f"not a readable certificate request in PEM: {error}") from error
    except WeakKeyError as error:
        raise RequestRefusedError(str(error)) from error
    for name in names:
        if name != str(identity):
            raise RequestRefusedError(f"the request is for {name!r}, the requester is {identity}")
    return public


def requested_uris(csr: x509.CertificateSigningRequest) -> list[str]:
    """Returns the URI names that a request asks for. Raises one of UNREADABLE if its extensions cannot be read."""
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def leaf_validity(lifetime: float, issuers: Validity, now: float) -> Validity:
    """Returns when a certificate that is signed now is valid: never outside its issuers' own validity."""
    return Validity(max(now - LEAF_BACKDATE, issuers.not_before), min(now + lifetime, issuers.not_after))


def uri_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def digest(key: SigningKey) -> hashes.SHA256 | hashes.SHA384:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own identifier where it has one: an operator's authority may have computed it in another way."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, sign_certificates: bool = False, encipher_keys: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=encipher_keys,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
