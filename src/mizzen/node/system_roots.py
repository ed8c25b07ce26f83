"""The roots that this host's operating system trusts, for proxies that begin TLS towards the world outside."""

from __future__ import annotations

import ssl
from pathlib import Path

# Where Linux distributions and macOS keep all of them in one file, beside where this Python looks.
_USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_roots() -> Path | None:
    """Returns the file of the roots, or None where there is none; SSL_CERT_FILE says another, as for most programs."""
    found = ssl.get_default_verify_paths().cafile
    candidates = [Path(name) for name in (found, *_USUAL) if name]
    return next((path for path in candidates if path.is_file()), None)
