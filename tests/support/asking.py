"""Asks the server of :mod:`tests.support.speaking` in all its protocols, run as a program: ``asking.py SERVICE``.

Prints what came back, and how long it took, as JSON. With ``--hold`` it opens a WebSocket and a gRPC stream, and uses them
when its input ends.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc

WAIT = 20


def address(service: str, port: str) -> tuple[str, int]:
    """Returns where a port of a service is called, wherever its proxy is."""
    name = service.upper().replace("-", "_")
    return os.environ[f"{name}_SERVICE_HOST"], int(os.environ[f"{name}_SERVICE_PORT_{port.upper().replace('-', '_')}"])


def raw(where: tuple[str, int], *sent: bytes) -> dict[str, Any]:
    """Sends bytes as soon as there is a connection; returns the first bytes that come, and after which time."""
    began = time.monotonic()
    with socket.create_connection(where, timeout=WAIT) as connection:
        for part in sent:
            connection.sendall(part)
        answer = connection.recv(65536)
    return {"answer": answer.decode(errors="replace"), "seconds": time.monotonic() - began}


def fetch(where: tuple[str, int], path: str = "/") -> dict[str, Any]:
    connection = http.client.HTTPConnection(*where, timeout=WAIT)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return {"status": answer.status, "route": answer.headers["x-route"], "body": answer.read().decode()}


def say(where: tuple[str, int]) -> dict[str, Any]:
    with grpc.insecure_channel(":".join(map(str, where))) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/Say")
        reply, call = method.with_call(b"good day", timeout=WAIT, wait_for_ready=True)
        told = {**dict(call.initial_metadata()), **dict(call.trailing_metadata())}
    return {"reply": reply.decode(), "route": told.get("x-route"), "trailer": told.get("x-trailer")}


def say_by_web(where: tuple[str, int], host: str = "") -> dict[str, Any]:
    """Speaks gRPC-Web as a browser does: one HTTP/1.1 request, in whose body the answer's trailers come last."""
    message = b"good day"
    connection = http.client.HTTPConnection(*where, timeout=WAIT)
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"} | ({"host": host} if host else {})
    with contextlib.closing(connection):
        connection.request("POST", "/test.Echo/Say", b"\0" + len(message).to_bytes(4) + message, headers)
        answer = connection.getresponse()
        frames = {kind: frame.decode() for kind, frame in _frames(answer.read())}
        return {"status": answer.status, "type": answer.headers["content-type"], "reply": frames.get(0)} | {
            "trailers": sorted(frames.get(0x80, "").lower().split("\r\n"))
        }


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    while len(body) >= 5:
        end = 5 + int.from_bytes(body[1:5])
        yield body[0], body[5:end]
        body = body[end:]


@contextlib.contextmanager
def web_socket(where: tuple[str, int]) -> Iterator[socket.socket]:
    """Opens a WebSocket; raises AssertionError if it is refused."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (f"GET /talk HTTP/1.1\r\nHost: {where[0]}:{where[1]}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n")  # fmt: skip
    with socket.create_connection(where, timeout=WAIT) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield connection


def talk(connection: socket.socket, text: bytes = b"good day") -> str:
    """Sends a frame of text (masked, RFC 6455, 5.2), and returns what the frame that comes back says."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
    connection.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
    answer = connection.recv(65536)
    return bytes(byte ^ answer[2 + at % 4] for at, byte in enumerate(answer[6:])).decode()


def everything(service: str) -> dict[str, Any]:
    web, plain = address(service, "web"), address(service, "http-plain")
    old = b"GET / HTTP/1.0\r\n\r\n"
    told = {
        "undeclared HTTP": fetch(web),
        "declared HTTP": fetch(plain),
        "undeclared gRPC": say(address(service, "calls")),
        "gRPC-Web": say_by_web(address(service, "grpc-web")),
        "undeclared server first": raw(address(service, "talk")),
        "declared server first": raw(address(service, "tcp-talk")),
        "undeclared client first": raw(address(service, "talk"), b"\0\1"),
        "undeclared HTTP/1.0": raw(web, old),
        "declared HTTP/1.0": raw(plain, old),
        "continued": raw(plain, b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
    }
    for name, where in (("undeclared WebSocket", web), ("declared WebSocket", plain)):
        with web_socket(where) as connection:
            told[name] = {"answer": talk(connection)}
    return told


def hold(service: str) -> dict[str, Any]:
    """Opens a WebSocket and a gRPC stream, says so, and uses them when the input has ended."""
    requests: SimpleQueue[bytes | None] = SimpleQueue()
    with (
        web_socket(address(service, "http-plain")) as connection,
        grpc.insecure_channel(":".join(map(str, address(service, "grpc")))) as channel,
    ):
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/test.Echo/GoOn")
        answers = method(iter(requests.get, None))
        requests.put(b"before")
        before = [talk(connection, b"before"), next(answers).decode()]
        print("open", file=sys.stderr, flush=True)
        sys.stdin.read()
        requests.put(b"after")
        after = [talk(connection, b"after"), next(answers).decode()]
        requests.put(None)
    return {"before": before, "after": after}


if __name__ == "__main__":
    *options, asked = sys.argv[1:]
    print(json.dumps(hold(asked) if options else everything(asked)))
