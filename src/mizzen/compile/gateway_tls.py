"""TLS that clients of a gateway speak with it (ServerTLSSettings, Istio 1.3). Certificates come by SDS, from files, from Secrets or
as the gateway's own identity, so that a new one ends no connection.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mizzen.compile import tls
from mizzen.compile.protos import sds_secret
from mizzen.compile.resource import pack
from mizzen.resources.credentials import roots_name, server_certificates, server_roots
from mizzen.resources.gateway import CIPHERS, Server, ServerTLSSettings, certificate_secret, roots_secret
from mizzen.resources.protocols import Protocol
from mizzen.resources.secret_names import certificate_name
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TransportSocket
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsParameters,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext

# A gateway whose certificate cannot be read must not keep its other ports from taking connections, in seconds.
_LONGEST_WAIT = 1.0
_VERSIONS = {
    "TLS_AUTO": TlsParameters.TLS_AUTO,
    "TLSV1_0": TlsParameters.TLSv1_0,
    "TLSV1_1": TlsParameters.TLSv1_1,
    "TLSV1_2": TlsParameters.TLSv1_2,
    "TLSV1_3": TlsParameters.TLSv1_3,
}
_LEAST = "TLSV1_2"
_SAN_TYPES = (SubjectAltNameMatcher.DNS, SubjectAltNameMatcher.URI)


@dataclass(frozen=True)
class GatewayTlsView:
    """What the end of TLS at a server depends on; secrets are named, and ``roots`` is "" where no client is asked.

    ``mutual`` is for those that the mesh itself has certified. ``anybody`` may have certified clients, if that is not checked.
    """

    http: bool
    mutual: bool = False
    trust_domain: str = ""
    certificates: tuple[str, ...] = ()
    roots: str = ""
    optional: bool = False
    anybody: bool = False
    names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    least: str = _LEAST
    most: str = "TLS_AUTO"
    ciphers: tuple[str, ...] = ()


def tls_view(server: Server, file: str, trust_domain: str) -> GatewayTlsView:
    """Returns the view of a server that ends TLS; ``file`` is where its Gateway stands."""
    given = server.tls or ServerTLSSettings()
    parameters = GatewayTlsView(
        http=server.protocol is Protocol.HTTPS,
        least=_LEAST if given.min_protocol_version == "TLS_AUTO" else given.min_protocol_version,
        most=given.max_protocol_version,
        ciphers=tuple(dict.fromkeys(suite for suite in given.cipher_suites if suite in CIPHERS)),
        names=given.subject_alt_names,
        keys=given.verify_certificate_spki,
        hashes=given.verify_certificate_hash,
    )
    if given.mode == "ISTIO_MUTUAL":
        return dataclasses.replace(parameters, mutual=True, trust_domain=trust_domain)
    asks = given.mode in ("MUTUAL", "OPTIONAL_MUTUAL")
    stored = server_roots(given)
    roots = roots_name(stored[1]) if stored else roots_secret(given, file) if asks else ""
    return dataclasses.replace(
        parameters,
        certificates=tuple(certificate_name(secret) for _, secret in server_certificates(given))
        or tuple(certificate_secret(pair, file) for pair in given.pairs),
        roots=roots,
        optional=given.mode == "OPTIONAL_MUTUAL",
        anybody=asks and bool(given.insecure_skip_verify),
    )


def gateway_socket(view: GatewayTlsView) -> TransportSocket:
    """Builds the gateway's end of TLS."""
    if view.mutual:
        context = tls.downstream_context(view.trust_domain, Protocol.HTTP if view.http else Protocol.TCP)
        if view.names or view.keys or view.hashes:
            default = context.common_tls_context.combined_validation_context.default_validation_context
            default.CopyFrom(_accepted(view))
    else:
        context = DownstreamTlsContext(common_tls_context=_from_files(view))
        context.require_client_certificate.value = bool(view.roots) and not view.optional
    parameters = context.common_tls_context.tls_params
    parameters.tls_minimum_protocol_version = _VERSIONS[view.least]
    parameters.tls_maximum_protocol_version = _VERSIONS[view.most]
    parameters.cipher_suites.extend(view.ciphers)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _from_files(view: GatewayTlsView) -> CommonTlsContext:
    certificates = [sds_secret(name, _LONGEST_WAIT) for name in view.certificates]
    common = CommonTlsContext(tls_certificate_sds_secret_configs=certificates)
    if view.http:
        common.alpn_protocols.extend(["h2", "http/1.1"])
    if view.roots:
        common.combined_validation_context.default_validation_context.CopyFrom(_accepted(view))
        roots = sds_secret(view.roots, _LONGEST_WAIT)
        common.combined_validation_context.validation_context_sds_secret_config.CopyFrom(roots)
    return common


def _accepted(view: GatewayTlsView) -> CertificateValidationContext:
    accepted = CertificateValidationContext(verify_certificate_spki=view.keys, verify_certificate_hash=view.hashes)
    for name in view.names:
        for kind in _SAN_TYPES:
            accepted.match_typed_subject_alt_names.add(san_type=kind).matcher.exact = name
    if view.anybody:
        accepted.trust_chain_verification = CertificateValidationContext.ACCEPT_UNTRUSTED
    return accepted
