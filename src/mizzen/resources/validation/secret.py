"""The rules for Secrets: Kubernetes' (``pkg/apis/core/validation``, ValidateSecret), and that what is used can be used.

No message has anything of a value in it: it could be a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.resources.certificates import read_certificates
from mizzen.resources.findings import Finding, unsupported, warning
from mizzen.resources.paths import join
from mizzen.resources.secret import (
    CRL,
    KEPT,
    OPAQUE,
    PAIRS,
    PRIVATE,
    ROOTS,
    TLS_TYPE,
    USED,
    SecretSpec,
    decoded,
    holds_key,
)
from mizzen.resources.secret_names import secret_of
from mizzen.resources.validation.names import is_dns_subdomain

_NAME = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_TYPES = (TLS_TYPE, OPAQUE)
_KEY_BESIDE = dict(PAIRS)
_USUAL = "write `tls.crt` and `tls.key`, or `ca.crt` for authorities"


def secret(spec: SecretSpec) -> Iterator[Finding]:
    if spec.type not in _TYPES:
        message = f"Mizzen has no use for a Secret of type {spec.type!r}"
        yield unsupported("spec", "SecretSpec.type", message, f"remove it; used are {' and '.join(_TYPES)}")
        return
    wrong = list(_values(spec))
    yield from wrong
    if wrong:
        return
    held = {name: value for name, value in spec.contents.items() if name in USED}
    for name, value in held.items():
        if name not in PRIVATE and holds_key(value):
            hint = f"write it under `{_KEY_BESIDE.get(name, 'tls.key')}` alone"
            yield Finding(_path(spec, name), f"`{name}` has a private key in it", hint=hint)
    yield from _missing(spec, held)
    for certificate, key in PAIRS:
        if certificate in held and key in held:
            yield from _pair(_path(spec, certificate), held[certificate], _path(spec, key), held[key])
    for name in ROOTS:
        if name in held and not _certificates(held[name]):
            yield Finding(_path(spec, name), f"`{name}` holds no certificate in PEM form")
    if CRL in held and not _is_revocation_list(held[CRL]):
        yield Finding(_path(spec, CRL), f"`{CRL}` holds no revocation list in PEM form")


def _values(spec: SecretSpec) -> Iterator[Finding]:
    for field, values in (("spec.data", spec.data), ("spec.stringData", spec.string_data)):
        for name, value in values.items():
            path = join(field, name)
            if not _NAME.fullmatch(name):
                yield Finding(path, "a name has letters, digits, `-`, `_` and `.`, and no more than 253 of them")
            elif name not in USED:
                message = f"Mizzen has no use for `{name}`, and does not keep it"
                yield warning(path, message, f"used are {', '.join(sorted(USED))}")
            elif field == "spec.data" and not _is_base64(value):
                yield Finding(path, f"`{name}` is not base64 of text", hint="write it under `stringData` as it is")


def _is_base64(value: str) -> bool:
    try:
        decoded(value)
    except ValueError:
        return False
    return True


def _missing(spec: SecretSpec, held: Mapping[str, str]) -> Iterator[Finding]:
    if spec.type == TLS_TYPE and not {"tls.crt", "tls.key"} <= held.keys():
        yield Finding("spec.data", f"a Secret of type {TLS_TYPE} has `tls.crt` and `tls.key`", hint=_USUAL)
        return
    for certificate, key in PAIRS:
        if (certificate in held) is not (key in held):
            there, missing = (certificate, key) if certificate in held else (key, certificate)
            yield Finding(_path(spec, there), f"`{there}` is of no use without `{missing}`")
    if not held.keys() - {CRL}:
        yield Finding("spec.data", "it holds nothing that Mizzen has a use for", hint=_USUAL)


def _pair(certificate_path: str, certificate: str, key_path: str, key: str) -> Iterator[Finding]:
    chain = _certificates(certificate)
    if not chain:
        yield Finding(certificate_path, "it holds no certificate in PEM form")
    elif chain[0].serial_number <= 0:
        message = f"the serial number of the certificate is {chain[0].serial_number}; RFC 5280 wants one above 0"
        yield warning(certificate_path, message, "have it issued again: some clients refuse it")
    if key == KEPT:
        return
    try:
        own = load_pem_private_key(key.encode(), None).public_key()
    except (ValueError, TypeError):
        yield Finding(key_path, "it holds no private key in PEM form that can be read without a password")
        return
    if chain and own != chain[0].public_key():
        yield Finding(key_path, "the key is not that of the certificate", hint="write both of one pair")


def _certificates(text: str) -> list[x509.Certificate]:
    try:
        return read_certificates(text)
    except ValueError:
        return []


def _is_revocation_list(text: str) -> bool:
    try:
        x509.load_pem_x509_crl(text.encode())
    except ValueError:
        return False
    return True


def _path(spec: SecretSpec, name: str) -> str:
    return join("spec.stringData" if name in spec.string_data else "spec.data", name)


def file_name(path: str, written: str) -> Iterator[Finding]:
    """Checks the path of a file that holds a certificate or a key: what is in the file is easily written instead."""
    if "-----BEGIN" in written or "\n" in written:
        hint = "write it to a file, or apply it as a Secret and name that by `credentialName`"
        yield Finding(path, "this is what is in a file, and the path of the file is meant", hint=hint)


def secret_name(path: str, written: str) -> Iterator[Finding]:
    """Checks the name by which a certificate in a Secret is meant."""
    if not is_dns_subdomain(secret_of(written)):
        hint = "a Secret is looked for in the proxy's own namespace, by its name alone"
        yield Finding(path, f"{written!r} is no name of a Secret", hint=hint)
