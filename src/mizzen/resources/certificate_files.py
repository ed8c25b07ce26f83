"""What proxies call certificates that users keep in files: Istio's names, from the files' paths on the proxy's host. Pure.

A name says which files are meant and nothing of who names them, so all who name the same have the same.
"""

from __future__ import annotations

_CERTIFICATE = "file-cert:"
_ROOTS = "file-root:"
_SYSTEM = "system"


def certificate_name(certificate: str, key: str) -> str:
    """Returns the name of a certificate with its key."""
    return f"{_CERTIFICATE}{certificate}~{key}"


def roots_name(roots: str, revoked: str = "") -> str:
    """Returns the name of authorities, those of the operating system without a file of others, with the list of what they have
    revoked, if there is one; that is in Istio's name not.
    """
    return f"{_ROOTS}{roots or _SYSTEM}" + (f"~{revoked}" if revoked else "")
