"""What proxies call certificates that are in Secrets: Istio's names. Pure.

A module of its own, for a node has need of it and of no more (:mod:`mizzen.resources.credentials` says what resources name).
"""

from __future__ import annotations

SCHEME = "kubernetes://"


def secret_of(written: str) -> str:
    """Returns the name of the Secret that a credential means."""
    return written.removeprefix(SCHEME)


def certificate_name(secret: str, namespace: str = "") -> str:
    """Returns what proxies call the certificate in a Secret: as in Istio.

    A proxy that serves several namespaces has it with the ``namespace`` whose it is; for others this is their own.
    """
    return f"{SCHEME}{namespace}/{secret}" if namespace else f"{SCHEME}{secret}"


def in_namespace(name: str, namespace: str) -> str:
    """Returns what a proxy of several namespaces calls that which is called ``name`` at a proxy of this namespace alone.

    Files belong to nobody, and have one name for all.
    """
    return certificate_name(secret_of(name), namespace) if name.startswith(SCHEME) else name
