"""Certificates as users have them in files: an authority, and what it has certified."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates, each with its key in files of ``folder``: ``NAME.pem`` and ``NAME-key.pem``; its own is ``ca.pem``."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = folder / f"{name}.pem"
        built = _builder(self._name, self._key.public_key(), self._name).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.root.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Writes a certificate for hosts, and its key, over those that were there; returns both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = _builder(subject, key.public_key(), self._name).add_extension(
            x509.SubjectAlternativeName(names or [x509.DNSName(name)]), critical=False
        )
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        certificate.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def revoke(self, *certificates: Path) -> Path:
        """Writes the list of those certificates that count no more; returns its file, ``crl.pem``."""
        now = datetime.now(UTC)
        built = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=30))
        )
        for file in certificates:
            serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=1))
            built = built.add_revoked_certificate(revoked.build())
        file = self.folder / "crl.pem"
        file.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return file


def secret(
    authority: Authority,
    name: str = "shop",
    *,
    holds: str = "tls.crt tls.key",
    namespace: str = "default",
    subject: str = "shop",
) -> str:
    """Returns a Secret with a new certificate, by default for a shop; ``holds`` are the names in it."""
    certificate, key = (path.read_text() for path in authority.issue(subject))
    all_of_them = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.root.read_text()}
    metadata = {"name": name, "namespace": namespace}
    data = {one: all_of_them[one] for one in holds.split()}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
