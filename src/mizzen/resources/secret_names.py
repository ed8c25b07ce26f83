"""What proxies call certificates that are in Secrets: Istio's names. Pure.

Which resources name one says :mod:`mizzen.resources.credentials`.
"""

from __future__ import annotations

SCHEME = "kubernetes://"


def secret_of(written: str) -> str:
    """Returns the name of the Secret that a credential means."""
    return written.removeprefix(SCHEME)


def certificate_name(secret: str) -> str:
    """Returns what proxies call the certificate in a Secret: as in Istio."""
    return f"{SCHEME}{secret}"
