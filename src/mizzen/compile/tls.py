"""Mutual TLS between sidecars: both ends present a workload certificate, both check the other's identity.

The client accepts only the identities of the service that it calls; the server accepts every identity of its own trust
domain, and who may call is then a matter of authorisation (Istio 2.11). Certificates and roots come by SDS from the
node, so their rotation changes nothing here.

Inbound is always STRICT: Istio's default is PERMISSIVE, and Mizzen departs from it on purpose (secure by default).
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.wrappers_pb2 import BoolValue

from mizzen.compile import names
from mizzen.compile.pools import Codec
from mizzen.compile.protos import sds_secret
from mizzen.compile.resource import pack
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TransportSocket
from mizzen.stubs.envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsParameters,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher

NOBODY = "spiffe://none.invalid"
"""An identity that nobody has."""
NEIGHBOUR = "tlsMode-neighbour"
"""The name of the match for endpoints that the caller's own proxy serves."""

# What an Istio client offers, most telling first: a server that takes both mutual TLS and plaintext tells them apart by
# the `istio` names (Istio 2.11, 2.14).
_ALPN_TCP = ("istio",)
HTTP_ALPN = ("h2", "http/1.1")
"""What a member's proxy speaks that reads requests, the better first."""
_ALPN = {
    Codec.BYTES: _ALPN_TCP,
    Codec.HTTP1: ("istio-http/1.1", "istio", "http/1.1"),
    Codec.HTTP2: ("istio-h2", "istio", "h2"),
    # Envoy then offers what each connection is going to speak, and nothing for one of bytes; Istio needs a filter of its own
    # to do that. By this the server tells requests from bytes where the port does not (decision 16).
    Codec.CLIENTS: (),
}


def parameters() -> TlsParameters:
    # Envoy's client stops at TLS 1.2 unless a maximum is given.
    return TlsParameters(
        tls_minimum_protocol_version=TlsParameters.TLSv1_2, tls_maximum_protocol_version=TlsParameters.TLSv1_3
    )


def _common(accepted: Iterable[StringMatcher], alpn: Iterable[str], secret: str) -> CommonTlsContext:
    sans = [SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.URI, matcher=matcher) for matcher in accepted]
    return CommonTlsContext(
        tls_params=parameters(),
        alpn_protocols=alpn,
        tls_certificate_sds_secret_configs=[sds_secret(secret)],
        combined_validation_context=CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=sans),
            validation_context_sds_secret_config=sds_secret(names.ROOT_SECRET),
        ),
    )


def upstream(identities: Iterable[str], sni: str, codec: Codec, secret: str = names.WORKLOAD_SECRET) -> TransportSocket:
    """The client's end. With no identities (no workload stands behind the service) no server is accepted.

    ``secret`` names the certificate that it presents.

    What it offers (ALPN) must be what it is going to speak: the server believes it.
    """
    accepted = [StringMatcher(exact=identity) for identity in identities]
    # An empty list would mean "any", so a service without workloads gets an identity that nobody has.
    accepted = accepted or [StringMatcher(exact=NOBODY)]
    context = UpstreamTlsContext(common_tls_context=_common(accepted, _ALPN[codec], secret), sni=sni)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def downstream(trust_domain: str, protocol: Protocol, secret: str = names.WORKLOAD_SECRET) -> TransportSocket:
    """The server's end: only clients with a certificate of the trust domain are let in."""
    context = downstream_context(trust_domain, protocol, secret)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def downstream_context(
    trust_domain: str, protocol: Protocol, secret: str = names.WORKLOAD_SECRET
) -> DownstreamTlsContext:
    accepted = [StringMatcher(prefix=f"spiffe://{trust_domain}/")]
    alpn = HTTP_ALPN if protocol.is_http else _ALPN_TCP
    return DownstreamTlsContext(
        common_tls_context=_common(accepted, alpn, secret), require_client_certificate=BoolValue(value=True)
    )


def plaintext() -> TransportSocket:
    return TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer()))
