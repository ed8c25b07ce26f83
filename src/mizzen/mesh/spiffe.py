"""SPIFFE ids in Istio's form: who a workload is, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.

The model names identities with this type, the compiler writes them into matchers of certificates, the authority
(``mizzen.identity``) into certificates. Two spellings of one identity would be two identities to a proxy, which
compares bytes; so a text that is not exactly in form is an error and never changed into one that is.

Rules: SPIFFE-ID, sections 2.1 (trust domain), 2.2 (path) and 2.3 (length).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCHEME = "spiffe://"
_MAX_LENGTH = 2048
_MAX_TRUST_DOMAIN = 255
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_SHOWN = 80


class SpiffeIdError(ValueError):
    """A text is no SPIFFE id, no trust domain, or not of Istio's form; the message says which rule it breaks."""


@dataclass(frozen=True, order=True, slots=True)
class SpiffeId:
    """The identity of a workload. Making one checks it: raises :class:`SpiffeIdError`."""

    trust_domain: str
    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        check_trust_domain(self.trust_domain)
        _check_segment("namespace", self.namespace)
        _check_segment("service account", self.service_account)
        if len(str(self)) > _MAX_LENGTH:
            raise SpiffeIdError(f"the SPIFFE id is {len(str(self))} bytes long; at most {_MAX_LENGTH} are allowed")

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Reads an id; ``str()`` of the result is ``text`` again. Raises :class:`SpiffeIdError`."""
        try:
            return cls._parse(text)
        except SpiffeIdError as error:
            raise SpiffeIdError(f"{_show(text)}: {error}") from None

    @classmethod
    def _parse(cls, text: str) -> SpiffeId:
        if len(text.encode(errors="surrogatepass")) > _MAX_LENGTH:
            raise SpiffeIdError(f"longer than {_MAX_LENGTH} bytes")
        if not text.startswith(_SCHEME):
            raise SpiffeIdError(f"does not begin with {_SCHEME} (in lower case)")
        for character, part in (("?", "query"), ("#", "fragment"), ("%", "percent-encoded character")):
            if character in text:
                raise SpiffeIdError(f"has a {part}, which a SPIFFE id must not have")
        trust_domain, *path = text.removeprefix(_SCHEME).split("/")
        check_trust_domain(trust_domain)
        for segment in path:
            _check_segment("path segment", segment)
        match path:
            case ["ns", namespace, "sa", service_account]:
                return cls(trust_domain, namespace, service_account)
        raise SpiffeIdError("its path is not of the form /ns/<namespace>/sa/<service account>")


def check_trust_domain(name: str) -> None:
    """Raises :class:`SpiffeIdError` unless ``name`` is a trust domain (SPIFFE-ID, 2.1)."""
    if not name:
        raise SpiffeIdError("the trust domain is empty")
    if "@" in name or ":" in name:
        raise SpiffeIdError(f"the trust domain {_show(name)} has a user or a port, which it must not have")
    if not _TRUST_DOMAIN.fullmatch(name):
        raise SpiffeIdError(
            f"the trust domain {_show(name)} may hold only lower-case letters, digits, dots, dashes and underscores"
        )
    if len(name) > _MAX_TRUST_DOMAIN:
        raise SpiffeIdError(f"the trust domain is {len(name)} bytes long; at most {_MAX_TRUST_DOMAIN} are allowed")


def _check_segment(what: str, segment: str) -> None:
    if not segment:
        raise SpiffeIdError(f"an empty {what} (two slashes in a row, or one at the end, are not allowed)")
    if segment in {".", ".."}:
        raise SpiffeIdError(f"the {what} {segment!r} is relative, which is not allowed")
    if not _SEGMENT.fullmatch(segment):
        raise SpiffeIdError(f"the {what} {_show(segment)} may hold only letters, digits, dots, dashes and underscores")


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
