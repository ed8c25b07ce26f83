"""Istio's rules for the TLS of a Gateway's server (``pkg/config/validation/validation.go``, validateTLSOptions)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, unsupported, warning
from mizzen.resources.gateway import CIPHERS, Server, ServerTLSSettings, TLSCertificate
from mizzen.resources.model import alias_of
from mizzen.resources.paths import join
from mizzen.resources.validation.secret import file_name, secret_name

_FILES = ("server_certificate", "private_key", "ca_certificates", "ca_crl")
_SECRETS = ("credential_name", "credential_names", "ca_cert_credential_name")
_CREDENTIALS = (*_FILES, "tls_certificates", *_SECRETS)
_OF_CLIENTS = (
    "ca_certificates",
    "ca_crl",
    "ca_cert_credential_name",
    "subject_alt_names",
    "verify_certificate_spki",
    "verify_certificate_hash",
    "insecure_skip_verify",
)
# Certificates of one server, which differ in the kind of key.
_MOST = 2
_OLD = frozenset({"TLSV1_0", "TLSV1_1"})
_ORDER = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")


def server_tls(path: str, server: Server) -> Iterator[Finding]:
    tls, protocol = server.tls, server.protocol
    if tls is None:
        if protocol.is_tls:
            hint = "write `tls: {mode: SIMPLE, serverCertificate: ..., privateKey: ...}`"
            yield Finding(path, "server must have TLS settings for HTTPS/TLS protocols", hint=hint)
        return
    if protocol.is_http:
        for name in sorted(tls.model_fields_set - {"https_redirect"}):
            message = "server cannot have TLS settings for plain text HTTP ports"
            yield Finding(f"{path}.{alias_of(ServerTLSSettings, name)}", message, hint="write `protocol: HTTPS`")
        return
    if not protocol.is_tls:
        yield Finding(path, "server cannot have TLS settings for TCP ports", hint="write `protocol: TLS`")
        return
    if tls.https_redirect:
        message = "tls.httpsRedirect should only be used with http servers"
        yield warning(f"{path}.httpsRedirect", message, "put it on the server of the port for HTTP")
    yield from _mode(path, tls)
    yield from _parameters(path, tls)


def _mode(path: str, tls: ServerTLSSettings) -> Iterator[Finding]:
    if tls.mode == "AUTO_PASSTHROUGH":
        message = "AUTO_PASSTHROUGH joins the networks of one mesh, and a mesh of Mizzen has one network"
        hint = "write PASSTHROUGH, and `tls` routes in a VirtualService"
        yield unsupported(path, "ServerTLSSettings.mode", message, hint)
    given = [name for name in _CREDENTIALS if getattr(tls, name)]
    if tls.mode == "ISTIO_MUTUAL":
        for name in given:
            alias = alias_of(ServerTLSSettings, name)
            yield Finding(f"{path}.{alias}", f"ISTIO_MUTUAL TLS cannot have associated {alias}", hint="remove it")
    elif tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH"):
        for name in given:
            alias = alias_of(ServerTLSSettings, name)
            yield warning(f"{path}.{alias}", f"{tls.mode} mode does not use {alias}, it will be ignored", "remove it")
    else:
        for name in (one for one in _OF_CLIENTS if tls.mode == "SIMPLE" and getattr(tls, one)):
            alias = alias_of(ServerTLSSettings, name)
            message = f"{alias} is about clients' certificates, and SIMPLE asks for none"
            yield warning(f"{path}.{alias}", message, "write `mode: MUTUAL`, or remove it")
        yield from _secrets(path, tls)
        yield from _files(path, tls)
        for name in _FILES:
            yield from file_name(f"{path}.{alias_of(ServerTLSSettings, name)}", getattr(tls, name))
        for at, pair in enumerate(tls.tls_certificates):
            for name in ("server_certificate", "private_key"):
                where = join(f"{path}.tlsCertificates", at)
                yield from file_name(f"{where}.{alias_of(TLSCertificate, name)}", getattr(pair, name))


def _secrets(path: str, tls: ServerTLSSettings) -> Iterator[Finding]:
    named = [("credentialName", tls.credential_name), ("caCertCredentialName", tls.ca_cert_credential_name)]
    named += [(join("credentialNames", at), one) for at, one in enumerate(tls.credential_names)]
    for field, written in named:
        if written or field not in {"credentialName", "caCertCredentialName"}:
            yield from secret_name(f"{path}.{field}", written)


def _files(path: str, tls: ServerTLSSettings) -> Iterator[Finding]:
    ways = ("credential_name", "credential_names", "tls_certificates", "server_certificate")
    given = [alias_of(ServerTLSSettings, name) for name in ways if getattr(tls, name)]
    if len(given) > 1:
        yield Finding(path, f"only one of {', '.join(given)} can be set", hint="keep one of them")
    for name in ("credential_names", "tls_certificates"):
        if len(getattr(tls, name)) > _MOST:
            alias = alias_of(ServerTLSSettings, name)
            yield Finding(
                f"{path}.{alias}", f"{alias} can have no more than {_MOST} elements", hint="one RSA, one ECDSA"
            )
    if not tls.credential_name and not tls.credential_names:
        for at, pair in enumerate(tls.pairs or (tls,)):
            where = join(f"{path}.tlsCertificates", at) if tls.tls_certificates and pair is not tls else path
            yield from _pair(where, tls.mode, pair)
        if tls.mode != "SIMPLE" and not (tls.ca_certificates or tls.ca_cert_credential_name):
            yield Finding(path, f"{tls.mode} TLS requires a client CA bundle", hint="write `caCertificates: FILE`")
    elif tls.ca_certificates and tls.mode != "SIMPLE":
        message = "the Secret says who certifies clients, and caCertificates would be ignored"
        yield Finding(f"{path}.caCertificates", message, hint="write `caCertCredentialName`, or remove it")
    if tls.ca_crl and tls.mode != "SIMPLE" and not tls.ca_certificates:
        message = "caCrl goes with caCertificates: a Secret has its own list, in `ca.crl`"
        yield Finding(f"{path}.caCrl", message, hint="remove it")
    if tls.insecure_skip_verify and tls.mode != "SIMPLE":
        message = "nobody checks who certified a client: whoever has made a certificate gets in"
        yield warning(f"{path}.insecureSkipVerify", message, "remove it")


def _pair(path: str, mode: str, pair: ServerTLSSettings | TLSCertificate) -> Iterator[Finding]:
    if not pair.server_certificate:
        yield Finding(path, f"{mode} TLS requires a server certificate", hint="write `serverCertificate: FILE`")
    if not pair.private_key:
        yield Finding(path, f"{mode} TLS requires a private key", hint="write `privateKey: FILE`")


def _parameters(path: str, tls: ServerTLSSettings) -> Iterator[Finding]:
    low, high = tls.min_protocol_version, tls.max_protocol_version
    if low in _OLD:
        message = f"{low} is not secure, and what Envoy knows of it may go"
        yield warning(f"{path}.minProtocolVersion", message, "write TLSV1_2 or nothing")
    if low in _ORDER and high in _ORDER and _ORDER.index(low) > _ORDER.index(high):
        yield Finding(f"{path}.maxProtocolVersion", "TLS max protocol version is lower than the min one")
    for index, suite in enumerate(tls.cipher_suites):
        where = join(f"{path}.cipherSuites", index)
        if suite not in CIPHERS:
            yield warning(where, f"ignoring invalid cipher suite {suite}", f"known are {', '.join(sorted(CIPHERS))}")
        elif suite in tls.cipher_suites[:index]:
            yield warning(where, f"ignoring duplicate cipher suite {suite}", "remove it")
