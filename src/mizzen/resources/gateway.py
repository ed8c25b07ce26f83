"""The model of ``networking.istio.io`` Gateway: on which ports, for which hosts and with which TLS a gateway takes traffic.

The whole published schema is here; what Mizzen does not implement yet is marked with :class:`~mizzen.resources.model.Later`.
"""

from __future__ import annotations

import posixpath
from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.certificate_files import certificate_name, roots_name
from mizzen.resources.hosts import comparable
from mizzen.resources.model import Later, Many, Model, StringMap
from mizzen.resources.protocols import Protocol, declared_protocol

TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
TlsMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]


# What Envoy's TLS library knows for TLS 1.2 and below, by the names that OpenSSL gives it; TLS 1.3 has its own, fixed ones.
CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
_PASSING = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})


class Port(Model):
    """``target_port`` is of no use in a Gateway, and refused as in Istio."""

    number: int = 0
    protocol: str = ""
    name: str = ""
    target_port: int | None = None


class TLSCertificate(Model):
    """Whom clients have to be certified by, the server says for all of its certificates."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: Annotated[str, Later()] = ""


class ServerTLSSettings(Model):
    """Paths are those of files on the gateway's host, relative to the file in which the Gateway stands.

    Names of credentials are those of Secrets in the gateway's namespace (:mod:`mizzen.resources.credentials`). Validation
    refuses ``AUTO_PASSTHROUGH``.
    """

    https_redirect: bool = False
    mode: TlsMode = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    subject_alt_names: Many[str] = ()
    credential_name: str = ""
    credential_names: Many[str] = ()
    tls_certificates: Many[TLSCertificate] = ()
    ca_cert_credential_name: str = ""
    verify_certificate_spki: Many[str] = ()
    verify_certificate_hash: Many[str] = ()
    min_protocol_version: TlsVersion = "TLS_AUTO"
    max_protocol_version: TlsVersion = "TLS_AUTO"
    cipher_suites: Many[str] = ()
    insecure_skip_verify: bool | None = None

    @property
    def pairs(self) -> tuple[ServerTLSSettings | TLSCertificate, ...]:
        """The certificates that are in files, each with its key."""
        return (self,) if self.server_certificate else self.tls_certificates


class Server(Model):
    """One port of a gateway, for some hosts; ``default_endpoint`` is not implemented in Istio either."""

    port: Port | None = None
    bind: str = ""
    hosts: Many[str] = ()
    tls: ServerTLSSettings | None = None
    default_endpoint: Annotated[str, Later()] = ""
    name: str = ""

    @property
    def number(self) -> int:
        return self.port.number if self.port else 0

    @property
    def ends_tls(self) -> bool:
        """Whether clients speak TLS, and with the gateway itself."""
        return self.protocol.is_tls and self.tls is not None and self.tls.mode not in _PASSING

    @property
    def protocol(self) -> Protocol:
        """What clients speak; validation refuses what is not known."""
        return declared_protocol("", self.port.protocol if self.port else "") or Protocol.TCP


class GatewaySpec(Model):
    """An empty selector chooses all gateways."""

    selector: StringMap = Field(default_factory=dict)
    servers: Many[Server] = ()


def certificate_file(path: str, file: str) -> str:
    """Returns where a file is that a Gateway names, which is written in ``file``; nothing is looked up on the disk."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))


def certificate_secret(tls: ServerTLSSettings | TLSCertificate, file: str) -> str:
    """Returns Istio's name for the secret of a certificate and its key, which its Gateway's file names."""
    return certificate_name(certificate_file(tls.server_certificate, file), certificate_file(tls.private_key, file))


def roots_secret(tls: ServerTLSSettings, file: str) -> str:
    """Returns Istio's name for the secret of the authorities that clients are to have a certificate of, which has the list of
    what they have revoked in it.
    """
    revoked = certificate_file(tls.ca_crl, file) if tls.ca_crl else ""
    return roots_name(certificate_file(tls.ca_certificates, file), revoked)


def host_parts(host: str) -> tuple[str, str]:
    """Takes a server's host apart: the namespace of its VirtualServices (``*`` for any, ``.`` for its own), and the name."""
    namespace, slash, name = host.rpartition("/")
    return (namespace if slash else "*", comparable(name))
