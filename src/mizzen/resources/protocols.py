"""Which protocol a port speaks: Istio's rules of protocol selection (istio.io, "Protocol Selection")."""

from __future__ import annotations

import enum


class Protocol(enum.StrEnum):
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UNDECLARED = "UNDECLARED"
    """The port says nothing: the first bytes of each connection tell requests from other bytes."""

    @property
    def is_http(self) -> bool:
        """Whether the proxy reads requests, and nothing but requests, on such a port."""
        return self in _HTTP

    @property
    def may_be_http(self) -> bool:
        """Whether the proxy reads requests on such a port where it finds some."""
        return self.is_http or self is Protocol.UNDECLARED

    @property
    def may_be_tcp(self) -> bool:
        """Whether bytes that nobody reads are passed on such a port."""
        return self in (Protocol.TCP, Protocol.UNDECLARED)

    @property
    def is_http2(self) -> bool:
        """Whether the server is spoken to in HTTP/2."""
        return self in _HTTP2

    @property
    def is_tls(self) -> bool:
        """Whether clients speak TLS on such a port, which the proxy passes on as it is."""
        return self in _TLS


_TLS = frozenset({Protocol.HTTPS, Protocol.TLS})
_HTTP = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})
_HTTP2 = frozenset({Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})

_BY_NAME = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.TCP,
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
}
SERVER_FIRST = frozenset({25, 53, 3306, 27017}) | frozenset({21, 22, 110, 143, 587, 4222, 5900})
"""Well-known ports that are TCP without a declaration: Istio's, and further ones whose servers speak first (FTP, SSH, POP3,
IMAP, submission of mail, NATS, VNC): to look for requests there would have every client wait.
"""

DETECTION_TIMEOUT = 1.0
"""How long, in seconds, a proxy waits for the first bytes of a client of a port that declares no protocol."""

_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}


def declared_protocol(name: str, app_protocol: str | None = None) -> Protocol | None:
    """Returns the protocol that a port declares: by ``appProtocol`` if there is one, else by the start of its name.

    None means that the port declares nothing that is known.
    """
    if app_protocol:
        special = _APP_PROTOCOLS.get(app_protocol.lower())
        return special or _by_name(app_protocol)
    return _by_name(name)


def protocol_of(number: int, name: str, app_protocol: str | None = None) -> Protocol:
    """Returns what a port speaks: what it declares, else TCP where servers are known to speak first (Istio 2.14)."""
    undeclared = Protocol.TCP if number in SERVER_FIRST else Protocol.UNDECLARED
    return declared_protocol(name, app_protocol) or undeclared


def undeclared(number: int) -> str:
    """Says what becomes of a port that does not say what it speaks."""
    return (
        f"port {number} declares no protocol: proxies guess it from the first bytes of each connection, and where the server "
        f"speaks first, clients wait {DETECTION_TIMEOUT:g} s for it"
    )


def _by_name(name: str) -> Protocol | None:
    name = name.lower()
    if name.startswith("grpc-web"):  # Istio looks no further
        return Protocol.GRPC_WEB
    return _BY_NAME.get(name.split("-", 1)[0])
