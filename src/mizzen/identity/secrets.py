"""Envoy's Secret messages, under Istio's names: a workload's certificate, and the roots that it trusts. Pure.

Listeners and clusters name these secrets and subscribe to them by SDS; the node serves them to its own proxies, since
it alone has the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from mizzen.compile.names import ROOT_SECRET, SYSTEM_ROOTS_SECRET, WORKLOAD_SECRET
from mizzen.compile.resource import XdsResource, encode
from mizzen.identity.renewal import KeyMaterial
from mizzen.stubs.envoy.config.core.v3.base_pb2 import DataSource
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    TlsCertificate,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret


def certificate_secret(key_pem: str, chain_pem: str, name: str = WORKLOAD_SECRET) -> XdsResource:
    """Returns the secret with which a proxy proves its identity."""
    certificate = TlsCertificate(certificate_chain=_inline(chain_pem), private_key=_inline(key_pem))
    return encode(name, Secret(name=name, tls_certificate=certificate))


def roots_secret(roots_pem: str, name: str = ROOT_SECRET, crl_pem: str = "") -> XdsResource:
    """Returns the secret with which a proxy checks its peers; ``crl_pem`` lists what the roots have revoked.

    Which identities it accepts is said where the secret is used (``combined_validation_context``), as that differs
    from cluster to cluster.
    """
    context = CertificateValidationContext(trusted_ca=_inline(roots_pem))
    if crl_pem:
        context.crl.CopyFrom(_inline(crl_pem))
    return encode(name, Secret(name=name, validation_context=context))


def renamed(secret: XdsResource, name: str) -> XdsResource:
    """Returns the same secret under another name."""
    message = Secret.FromString(secret.body)
    message.name = name
    return encode(name, message)


def system_roots_secret(file: str) -> XdsResource:
    """Returns the secret with which a proxy checks servers outside the mesh: a file of roots, read again when it changes."""
    context = CertificateValidationContext(trusted_ca=DataSource(filename=file))
    context.watched_directory.path = str(PurePath(file).parent)
    return encode(SYSTEM_ROOTS_SECRET, Secret(name=SYSTEM_ROOTS_SECRET, validation_context=context))


def secrets(material: KeyMaterial) -> Mapping[str, XdsResource]:
    """Returns both secrets of a workload by name."""
    return by_name((certificate_secret(material.key, material.chain), roots_secret(material.roots)))


def secrets_by_identity(identity: str, material: KeyMaterial) -> dict[str, XdsResource]:
    """Returns both secrets for a proxy that has several identities: the certificate under the name of its own."""
    return by_name((certificate_secret(material.key, material.chain, identity), roots_secret(material.roots)))


def by_name(given: Iterable[XdsResource]) -> dict[str, XdsResource]:
    return {secret.name: secret for secret in given}


def _inline(text: str) -> DataSource:
    return DataSource(inline_bytes=text.encode())
