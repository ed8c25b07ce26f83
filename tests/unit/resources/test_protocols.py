from __future__ import annotations

import pytest

from mizzen.resources.protocols import Protocol, declared_protocol, protocol_of


@pytest.mark.trap(31)
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
        ("GRPC-Web-UI", None, Protocol.GRPC_WEB),
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
def test_app_protocol_beats_the_name(name: str, app_protocol: str | None, protocol: Protocol | None) -> None:
    assert declared_protocol(name, app_protocol) == protocol


@pytest.mark.trap(31)
@pytest.mark.parametrize("number", [25, 53, 3306, 27017, 22, 4222])
def test_where_servers_are_known_to_speak_first_a_port_is_tcp(number: int) -> None:
    assert protocol_of(number, "db") is Protocol.TCP
    assert protocol_of(number, "") is Protocol.TCP
    assert protocol_of(number, "http") is Protocol.HTTP


@pytest.mark.trap(31)
def test_any_other_port_without_a_protocol_is_found_out() -> None:
    assert protocol_of(9080, "web") is Protocol.UNDECLARED
    assert protocol_of(9080, "http", "example.com/own") is Protocol.UNDECLARED


def test_what_the_proxy_reads() -> None:
    assert {protocol for protocol in Protocol if protocol.may_be_http and protocol.may_be_tcp} == {"UNDECLARED"}
    assert {protocol for protocol in Protocol if protocol.is_http} == {"HTTP", "HTTP2", "GRPC", "GRPC-WEB"}
    assert {protocol for protocol in Protocol if protocol.is_http2} == {"HTTP2", "GRPC", "GRPC-WEB"}
