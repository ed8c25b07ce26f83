"""The model of ``networking.istio.io`` Gateway: on which ports, for which hosts and with which TLS a gateway takes traffic.

The whole published schema is here; what Mizzen does not implement yet is marked with :class:`~mizzen.resources.model.Later`.
"""

from __future__ import annotations

import posixpath
from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.model import Later, Many, Model, StringMap
from mizzen.resources.protocols import Protocol, declared_protocol

TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
TlsMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]


class Port(Model):
    """``target_port`` is of no use in a Gateway, and refused as in Istio."""

    number: int = 0
    protocol: Annotated[str, Later(only={"HTTPS", "TLS", "TCP", "MONGO"})] = ""
    name: str = ""
    target_port: int | None = None


class TLSCertificate(Model):
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTLSSettings(Model):
    """Paths are those of files on the gateway's host, relative to the file in which the Gateway stands."""

    https_redirect: bool = False
    mode: Annotated[TlsMode, Later(only={"AUTO_PASSTHROUGH"})] = "PASSTHROUGH"
    server_certificate: Annotated[str, Later()] = ""
    private_key: Annotated[str, Later()] = ""
    ca_certificates: Annotated[str, Later()] = ""
    ca_crl: Annotated[str, Later()] = ""
    subject_alt_names: Annotated[Many[str], Later()] = ()
    credential_name: Annotated[str, Later()] = ""
    credential_names: Annotated[Many[str], Later()] = ()
    tls_certificates: Annotated[Many[TLSCertificate], Later()] = ()
    ca_cert_credential_name: Annotated[str, Later()] = ""
    verify_certificate_spki: Annotated[Many[str], Later()] = ()
    verify_certificate_hash: Annotated[Many[str], Later()] = ()
    min_protocol_version: Annotated[TlsVersion, Later(unless={"TLS_AUTO"})] = "TLS_AUTO"
    max_protocol_version: Annotated[TlsVersion, Later(unless={"TLS_AUTO"})] = "TLS_AUTO"
    cipher_suites: Annotated[Many[str], Later()] = ()
    insecure_skip_verify: Annotated[bool | None, Later()] = None


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


def host_parts(host: str) -> tuple[str, str]:
    """Takes a server's host apart: the namespace of its VirtualServices (``*`` for any, ``.`` for its own), and the name."""
    namespace, slash, name = host.rpartition("/")
    return (namespace if slash else "*", name.lower())
