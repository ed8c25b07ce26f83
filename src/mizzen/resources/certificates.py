"""Certificates in PEM form: every one that users bring is read here.

An authority of somebody's own making may have given a certificate the serial number 0. RFC 5280 (4.1.2.2) forbids it, Envoy and
OpenSSL take it, and the library that reads it here writes a warning of Python's for each, to whoever looks at the terminal.
Who is to know learns it from :mod:`mizzen.resources.validation.secret` instead.
"""

from __future__ import annotations

import warnings

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

# For the whole process, as the library says it again whenever the number is asked for.
warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)


def read_certificates(pem: bytes | str) -> list[x509.Certificate]:
    """Returns the certificates of a text, at least one. Raises ValueError where there is none, or one cannot be read."""
    return x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem)
