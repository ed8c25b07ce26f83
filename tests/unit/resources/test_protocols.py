from __future__ import annotations

import pytest

from mizzen.resources.protocols import Protocol, declared_protocol


@pytest.mark.parametrize(
    ("name", "app_protocol", "protocol"),
    [
        ("http", None, Protocol.HTTP),
        ("http-web", None, Protocol.HTTP),
        ("HTTP-Web", None, Protocol.HTTP),
        ("http2", None, Protocol.HTTP2),
        ("grpc", None, Protocol.GRPC),
        ("grpc-web", None, Protocol.GRPC_WEB),
        ("grpc-web-ui", None, Protocol.GRPC_WEB),
        ("grpc-api", None, Protocol.GRPC),
        ("https", None, Protocol.HTTPS),
        ("tls-mqtt", None, Protocol.TLS),
        ("tcp", None, Protocol.TCP),
        ("mongo", None, Protocol.TCP),
        ("mysql-main", None, Protocol.TCP),
        ("redis", None, Protocol.TCP),
        ("httpbin", None, None),
        ("web", None, None),
        ("", None, None),
        ("tcp", "http", Protocol.HTTP),
        ("http", "kubernetes.io/h2c", Protocol.HTTP2),
        ("", "kubernetes.io/ws", Protocol.HTTP),
        ("", "kubernetes.io/wss", Protocol.HTTPS),
        ("http", "example.com/own", None),
        ("http", "", Protocol.HTTP),
    ],
)
def test_trap_31_app_protocol_beats_the_name(name: str, app_protocol: str | None, protocol: Protocol | None) -> None:
    assert declared_protocol(name, app_protocol) == protocol


def test_what_the_proxy_reads() -> None:
    assert {protocol for protocol in Protocol if protocol.is_http} == {"HTTP", "HTTP2", "GRPC", "GRPC-WEB"}
    assert {protocol for protocol in Protocol if protocol.is_http2} == {"HTTP2", "GRPC", "GRPC-WEB"}
