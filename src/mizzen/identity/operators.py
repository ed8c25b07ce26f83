"""An authority that an operator brings: `ca.crt` and `ca.key`, with `chain.crt` and `root.crt` where it is no root.

    ca.key     the private key, mode 0600
    ca.crt     its certificate, a root's or an intermediate's
    chain.crt  the certificates between it and the root, if there are any, in any order
    root.crt   the roots to trust; needed for an intermediate, and for trusting more than one during a change

The files are read when the authority is opened. To change a root: add the new one to root.crt and restart; after one
certificate lifetime put the new ca.crt and ca.key in place and restart; after one more take the old root out.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from mizzen.identity import issuer as issuers
from mizzen.identity import keystore
from mizzen.identity.errors import AuthorityError
from mizzen.identity.issuer import Issuer


def present(folder: Path) -> bool:
    """Tells whether the operator wants their own authority used: half of a pair counts, and is then an error."""
    return (folder / "ca.crt").exists() or (folder / "ca.key").exists()


def load(folder: Path, trust_domain: str, now: float) -> tuple[Issuer, tuple[x509.Certificate, ...]]:
    """Returns the checked issuer and the roots to trust. Raises :class:`AuthorityError`."""
    for name in ("ca.crt", "ca.key"):
        if not (folder / name).exists():
            raise AuthorityError(
                "is missing", where=folder / name, hint="an authority of your own needs both ca.crt and ca.key"
            )
    path = folder / "ca.crt"
    certificate, *between = keystore.read_certificates(path)
    if (folder / "chain.crt").exists():
        between += keystore.read_certificates(folder / "chain.crt")
    roots = _roots(folder, certificate)
    key = keystore.read_key(folder / "ca.key")
    with issuers.about(path):
        issuer = Issuer(key, certificate, issuers.way_up(certificate, tuple(between), roots))
        issuers.check(issuer, trust_domain, now)
    return issuer, roots


def _roots(folder: Path, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
    path = folder / "root.crt"
    if not path.exists():
        if issuers.issued_by(certificate, certificate):
            return (certificate,)
        raise AuthorityError(
            "is missing", where=path, hint="ca.crt is an intermediate: put the certificate of its root there"
        )
    roots = keystore.read_certificates(path)
    with issuers.about(path):
        for root in roots:
            issuers.check_authority(root)
            if not issuers.issued_by(root, root):
                raise AuthorityError(
                    f"{issuers.name(root)} is not a root: it did not sign itself", hint="put it into chain.crt"
                )
    return roots
