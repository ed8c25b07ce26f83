"""Certificates for tests: authorities of all kinds, and a strict look at what was issued."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from mizzen.identity import Authority, new_request
from mizzen.identity.certificates import SigningKey
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import IssuedCertificate

NOW = 1_800_000_000.0
DAY = 86400.0
TRUST_DOMAIN = "cluster.local"
REVIEWS = SpiffeId(TRUST_DOMAIN, "default", "reviews")
RATINGS = SpiffeId(TRUST_DOMAIN, "default", "ratings")


class Clock:
    """Unix time that stands still until it is told to go on."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def verify(chain_pem: str, roots_pem: str, now: float) -> list[str]:
    """Verifies a chain as a TLS server does with a client's, and returns its URI names; raises VerificationError."""
    leaf, *rest = certificates(chain_pem)
    policy = PolicyBuilder().store(Store(certificates(roots_pem))).time(datetime.fromtimestamp(now, UTC))
    verified = policy.build_client_verifier().verify(leaf, rest)
    return [name.value for name in verified.subjects or []]


def ca(
    name: str,
    key: SigningKey,
    signer: tuple[x509.Name, SigningKey] | None = None,
    *,
    is_ca: bool = True,
    path_length: int | None = None,
    now: float = NOW,
    lifetime: float = 365 * DAY,
    uri: str = "",
) -> x509.Certificate:
    """Makes a certificate of an authority; ``signer`` is None for a root."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = signer or (subject, key)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now - 3600, UTC))
        .not_valid_after(datetime.fromtimestamp(now + lifetime, UTC))
        .add_extension(x509.BasicConstraints(is_ca, path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, decipher_only=False, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if uri:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def signing_key(pem: str) -> SigningKey:
    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


def csr(key: SigningKey, *names: x509.GeneralName, common_name: str = "") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateSigningRequestBuilder(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def put_key(path: Path, key: SigningKey, mode: int = 0o600) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(mode)


def put(path: Path, *found: x509.Certificate) -> None:
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in found))


def open_at(folder: Path, clock: Clock, trust_domain: str = TRUST_DOMAIN) -> Authority:
    return Authority.open(folder, trust_domain, clock=clock)


def issue(authority: Authority, identity: SpiffeId = REVIEWS, lifetime: float = DAY) -> IssuedCertificate:
    return authority.sign(new_request(identity).csr, identity, lifetime)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
