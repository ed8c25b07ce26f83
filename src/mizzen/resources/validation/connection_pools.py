"""Istio's rules for connection pools."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import ConnectionPoolSettings, HTTPSettings, TCPSettings
from mizzen.resources.findings import Finding
from mizzen.resources.model import Model, alias_of
from mizzen.resources.validation import names


def connection_pool(path: str, pool: ConnectionPoolSettings | None) -> Iterator[Finding]:
    if pool is None:
        return
    if pool.tcp is None and pool.http is None:
        yield Finding(path, "connection pool must have at least one field", hint="write `tcp` or `http` below it")
    if pool.tcp is not None:
        yield from tcp_settings(f"{path}.tcp", pool.tcp)
    if pool.http is not None:
        yield from _http(f"{path}.http", pool.http)


def tcp_settings(path: str, tcp: TCPSettings) -> Iterator[Finding]:
    yield from _not_negative(path, tcp)
    yield from names.duration(f"{path}.connectTimeout", tcp.connect_timeout)
    yield from names.duration(f"{path}.maxConnectionDuration", tcp.max_connection_duration)
    yield from names.duration(f"{path}.idleTimeout", tcp.idle_timeout, zero=True)
    if tcp.tcp_keepalive is not None:
        yield from _not_negative(f"{path}.tcpKeepalive", tcp.tcp_keepalive)
        yield from names.duration(f"{path}.tcpKeepalive.time", tcp.tcp_keepalive.time)
        yield from names.duration(f"{path}.tcpKeepalive.interval", tcp.tcp_keepalive.interval)


def _http(path: str, http: HTTPSettings) -> Iterator[Finding]:
    yield from _not_negative(path, http)
    yield from names.duration(f"{path}.idleTimeout", http.idle_timeout, zero=True)
    if http.use_client_protocol and http.h2_upgrade_policy == "UPGRADE":
        message = "use client protocol must not be true when H2UpgradePolicy is UPGRADE"
        yield Finding(f"{path}.useClientProtocol", message, hint="keep one of them")
    if http.http2_keep_alive is not None:
        for name in ("interval", "timeout"):
            where = f"{path}.http2KeepAlive.{name}"
            seconds: float | None = getattr(http.http2_keep_alive, name)
            if seconds is None:
                yield Finding(where, f"http2KeepAlive {name} is required")
            yield from names.duration(where, seconds)


def _not_negative(path: str, settings: Model) -> Iterator[Finding]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, int) and value < 0:
            alias = alias_of(type(settings), name)
            yield Finding(f"{path}.{alias}", f"{alias} must be non-negative")
        elif isinstance(value, int) and value > 2**31 - 1:
            alias = alias_of(type(settings), name)
            yield Finding(f"{path}.{alias}", f"{alias} must be at most 2147483647 (int32)")
