"""The model of Kubernetes' ``v1`` Secret, for certificates, their keys and authorities; and how its keys are kept out of sight.

A Secret says what it says beside its metadata and not below ``spec``; :func:`specified` gives it the form of other resources.
Private keys leave the resource as soon as it is read (:func:`concealed`): what is shown, stored and kept as history has the
word :data:`KEPT` in their place (decision 15).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import yaml
from pydantic import Field

from mizzen.resources.findings import Finding
from mizzen.resources.manifest import ObjectMeta
from mizzen.resources.model import Later, Model, StringMap
from mizzen.resources.yaml_documents import Document

TLS_TYPE = "kubernetes.io/tls"
OPAQUE = "Opaque"
KEPT = "(a private key, which is kept and never shown)"
"""Stands in the place of a private key."""

PAIRS: tuple[tuple[str, str], ...] = (("cert", "key"), ("tls.crt", "tls.key"))
"""Where a certificate and its key may be, in the order in which Istio looks."""
ROOTS: tuple[str, ...] = ("cacert", "ca.crt")
"""Where certificates of authorities may be, in the order in which Istio looks."""
CRL = "ca.crl"
USED: frozenset[str] = frozenset({name for pair in PAIRS for name in pair} | {*ROOTS, CRL})
PRIVATE: frozenset[str] = frozenset(key for _, key in PAIRS)
ROOTS_SUFFIX = "-cacert"
"""Ends the name of the Secret that holds the authorities which go with another one (Istio)."""

_PRIVATE_KEY = "PRIVATE KEY-----"
# kubectl notes there all that it has applied, keys included.
_TELLTALE = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_OUTSIDE = frozenset({"apiVersion", "kind", "metadata", "status"})


class SecretSpec(Model):
    """``data`` is in base64, ``string_data`` as it is; of a name in both the latter counts (Kubernetes)."""

    type: str = OPAQUE
    data: StringMap = Field(default_factory=dict, repr=False)
    string_data: StringMap = Field(default_factory=dict, repr=False)
    immutable: Annotated[bool | None, Later()] = None

    @property
    def contents(self) -> Mapping[str, str]:
        """All that it holds, by name. Raises ValueError for what is not text in base64; validation has refused that."""
        return {**{name: decoded(value) for name, value in self.data.items()}, **self.string_data}

    @property
    def pair(self) -> tuple[str, str] | None:
        """The names of the certificate and the key that it holds."""
        held = {*self.data, *self.string_data}
        return next((pair for pair in PAIRS if held.issuperset(pair)), None)

    @property
    def roots(self) -> str:
        """The name of the authorities that it holds, or ""."""
        return next((name for name in ROOTS if name in self.data or name in self.string_data), "")

    @property
    def content_digest(self) -> str:
        """Names what it holds: another certificate has another one, and a key is never without its certificate.

        The keys themselves have no part in it, so that it can be shown.
        """
        said = {name: KEPT if name in PRIVATE else value for name, value in self.contents.items() if name in USED}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def decoded(value: str) -> str:
    """Returns the text of a value of ``data``. Raises ValueError, which says nothing of the value."""
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("not text in base64") from None


def holds_key(text: str) -> bool:
    """Tells whether a private key in PEM form is somewhere in a text, as in one file for both halves of a pair."""
    return _PRIVATE_KEY in text


def specified(document: Document) -> Document:
    """Returns a Secret's document in the form of other resources: with what it says below ``spec``."""
    given: dict[str, Any] = document.value
    inside = {name: item for name, item in given.items() if name not in _OUTSIDE}
    value = {name: item for name, item in given.items() if name in _OUTSIDE} | {"spec": inside}
    places = {_below_spec(path): at for path, at in document.places.items()}
    places["spec"] = document.places[""]
    return dataclasses.replace(document, value=value, places=places)


def _below_spec(path: str) -> str:
    first = path.partition(".")[0].partition("[")[0]
    if not path or first in _OUTSIDE:
        return path
    return f"spec.{path}" if first else f"spec{path}"


def unrevealing(findings: Iterable[Finding]) -> list[Finding]:
    """Returns what is wrong with the form of a Secret, without what stands there: it could be a key."""
    return [
        dataclasses.replace(one, message="it has the wrong form: `data` and `stringData` are names with texts", hint="")
        if one.code == "WrongType"
        else one
        for one in findings
    ]


def concealed(metadata: ObjectMeta, spec: SecretSpec) -> tuple[ObjectMeta, SecretSpec, Mapping[str, str]]:
    """Returns a Secret without its private keys and without what Mizzen has no use for, and the keys by name."""
    contents = {name: value for name, value in sorted(spec.contents.items()) if name in USED}
    private = {name: value for name, value in contents.items() if name in PRIVATE and value != KEPT}
    # Validation refuses a key beside a certificate; were it not to, the key would still not be shown.
    shown = {name: KEPT if name in PRIVATE or holds_key(value) else value for name, value in contents.items()}
    annotations = {name: value for name, value in metadata.annotations.items() if name not in _TELLTALE}
    visible = SecretSpec(type=spec.type, string_data=shown)
    return metadata.model_copy(update={"annotations": annotations}), visible, MappingProxyType(private)


def document_of(metadata: ObjectMeta, spec: SecretSpec, namespace: str) -> str:
    """Returns the text of a Secret that was concealed, in the form in which users write it."""
    shown: dict[str, Any] = {"name": metadata.name, "namespace": namespace}
    shown |= {name: dict(value) for name in ("labels", "annotations") if (value := getattr(metadata, name))}
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": shown, **spec.to_document()}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, so that certificates can be read."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
