"""A node's side of a certificate: the key, made where it is used, and the request for a certificate for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mizzen.mesh.spiffe import SpiffeId


@dataclass(frozen=True)
class KeyRequest:
    """A new private key and the request for it, both in PEM. The key never leaves the node and never shows in a log."""

    key: str = field(repr=False)
    csr: str


def new_request(identity: SpiffeId) -> KeyRequest:
    """Makes an ECDSA P-256 key and a request with the identity as its only name (X509-SVID, 2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyRequest(encoded.decode(), csr.public_bytes(Encoding.PEM).decode())
