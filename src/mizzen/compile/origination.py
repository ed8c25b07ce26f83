"""TLS that a proxy begins for its application, towards servers that are no members (SIMPLE and MUTUAL, Istio 1.2).

Who answers is always checked unless the rule says otherwise. Which name the server is asked for (SNI) and must prove is,
where requests are read, the host that the request is for, as in Istio. Bytes name no host, so there it is the service's own;
Istio sends no name there and checks none. The same if a rule gives an ``sni`` and no names: what is asked for is checked.

Certificates come by SDS from the node, which reads them, so that a new one ends no connection: from the files that a rule names,
from the operating system's where it names no roots, from Secrets where the proxy may have them. One that may not speaks to
nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mizzen.compile import names
from mizzen.compile.pools import HTTP_OPTIONS, Codec
from mizzen.compile.protos import sds_secret
from mizzen.compile.resource import pack
from mizzen.compile.seats import Seat
from mizzen.compile.tls import NOBODY, parameters
from mizzen.resources import certificate_files, credentials, secret_names
from mizzen.resources.destination_rule import ClientTLSSettings
from mizzen.resources.hosts import is_ip_address, is_wildcard
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TransportSocket
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import SubjectAltNameMatcher
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher

MODES = frozenset({"SIMPLE", "MUTUAL"})
# A node without roots must not keep a proxy from starting, in seconds: what needs them then fails by itself.
_ROOTS_TIMEOUT = 5.0
# Nor must a Secret or a file that is not there yet.
_SECRET_TIMEOUT = 1.0


def apply(
    cluster: Cluster, given: ClientTLSSettings, host: str, sans: Sequence[str], codec: Codec, *, fixed: bool, seat: Seat
) -> None:
    """Has a cluster's connections begin with TLS, as ``given`` says, towards ``host``.

    Certificates are those of the ``seat``. ``sans`` are names that the service
    itself says its servers have. ``fixed`` says that there are connections whose bytes name no host. The cluster has its HTTP
    options already.
    """
    server = given.sni or (host if fixed and not is_wildcard(host) else "")
    accepted = tuple(given.subject_alt_names) or tuple(sans) or ((server,) if server else ())
    context = UpstreamTlsContext(common_tls_context=_common(given, accepted, codec, seat))
    if server and not is_ip_address(server):
        context.sni = server
    if codec is not Codec.BYTES and not server:
        _take_from_host(cluster, checked=not (accepted or given.insecure_skip_verify))
    cluster.transport_socket.CopyFrom(TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context)))


def refuse(cluster: Cluster) -> None:
    """Has a cluster speak to nobody: what would be said in plaintext is not meant to be, and there is nothing to prove.

    Istio has sidecars speak plaintext here (Istio 1.2).
    """
    common = CommonTlsContext(tls_params=parameters())
    nobody = common.combined_validation_context.default_validation_context
    nobody.match_typed_subject_alt_names.append(san_matcher(NOBODY))
    common.combined_validation_context.validation_context_sds_secret_config.CopyFrom(sds_secret(names.ROOT_SECRET))
    packed = pack(UpstreamTlsContext(common_tls_context=common))
    cluster.transport_socket.CopyFrom(TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed))


def _take_from_host(cluster: Cluster, *, checked: bool) -> None:
    options = HttpProtocolOptions()
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    options.upstream_http_protocol_options.auto_sni = True
    options.upstream_http_protocol_options.auto_san_validation = checked
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))


def _common(given: ClientTLSSettings, accepted: Iterable[str], codec: Codec, seat: Seat) -> CommonTlsContext:
    common = CommonTlsContext(tls_params=parameters(), alpn_protocols=("h2",) if codec is Codec.HTTP2 else ())
    if given.mode == "MUTUAL":
        common.tls_certificate_sds_secret_configs.append(_certificate(given, seat))
    if not given.insecure_skip_verify:
        combined = common.combined_validation_context
        combined.default_validation_context.match_typed_subject_alt_names.extend(map(san_matcher, accepted))
        combined.validation_context_sds_secret_config.CopyFrom(_roots(given, seat))
    return common


def _certificate(given: ClientTLSSettings, seat: Seat) -> SdsSecretConfig:
    name = certificate_files.certificate_name(given.client_certificate, given.private_key)
    if given.credential_name:
        name = secret_names.certificate_name(secret_names.secret_of(given.credential_name))
    return sds_secret(seat.secret_named(name), _SECRET_TIMEOUT)


def _roots(given: ClientTLSSettings, seat: Seat) -> SdsSecretConfig:
    if given.credential_name:
        name = credentials.roots_name(secret_names.secret_of(given.credential_name))
    elif given.ca_certificates or given.ca_crl:
        name = certificate_files.roots_name(given.ca_certificates, given.ca_crl)
    else:
        return sds_secret(names.SYSTEM_ROOTS_SECRET, _ROOTS_TIMEOUT)
    return sds_secret(seat.secret_named(name), _SECRET_TIMEOUT)


def san_matcher(name: str) -> SubjectAltNameMatcher:
    """Returns what fits a name that a rule gives to a server, which may be a host, an address or a URI."""
    kind = SubjectAltNameMatcher.DNS
    if "://" in name:
        kind = SubjectAltNameMatcher.URI
    elif is_ip_address(name):
        kind = SubjectAltNameMatcher.IP_ADDRESS
    return SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=name))
