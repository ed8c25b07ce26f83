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

    @property
    def is_http(self) -> bool:
        """Whether the proxy reads requests, rather than bytes, on such a port."""
        return self in _HTTP

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
_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}


def declared_protocol(name: str, app_protocol: str | None = None) -> Protocol | None:
    """Returns the protocol that a port declares: by ``appProtocol`` if there is one, else by the start of its name.

    None means that the port declares nothing that is known; Mizzen then passes bytes through and never guesses.
    """
    if app_protocol:
        special = _APP_PROTOCOLS.get(app_protocol.lower())
        return special or _by_name(app_protocol)
    return _by_name(name)


def _by_name(name: str) -> Protocol | None:
    name = name.lower()
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return Protocol.GRPC_WEB
    return _BY_NAME.get(name.split("-", 1)[0])
