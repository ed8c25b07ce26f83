"""A small HTTP/1.1 server: routes in, answers out, connections kept alive, and no request lost on SIGTERM.

It listens on loopback unless told otherwise, since a sidecar on the same machine is its only caller. Each answer says
in two headers which instance and which version gave it, so that a traffic split is seen from outside. The client side
is in ``calling``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import signal
import socket
import sys
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple

POD_HEADER = "x-bookinfo-pod"
VERSION_HEADER = "x-bookinfo-version"
_LARGEST_BODY = 64 * 1024


class Request(NamedTuple):
    """What a caller sent; ``path`` is decoded and without its query, ``query`` holds the first value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes


class Response(NamedTuple):
    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


class Route(NamedTuple):
    """``pattern`` must match the whole path; its groups are given to ``answer`` after the request."""

    method: str
    pattern: str
    answer: Callable[..., Response]


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode(), "application/json")


def html_response(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, text.encode(), "text/html; charset=utf-8", headers)


def text_response(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), "text/plain; charset=utf-8")


def pod_name() -> str:
    """The name of this instance: ``HOSTNAME``, as in a Kubernetes pod."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def version() -> str:
    """The version of this instance: ``SERVICE_VERSION``, which follows the workload's label."""
    return os.environ.get("SERVICE_VERSION") or "v1"


def answer(routes: Sequence[Route], request: Request) -> Response:
    """The answer of the route for the request's path and method, or 404, or 405 with the methods there are."""
    wanted = "GET" if request.method == "HEAD" else request.method
    allowed: list[str] = []
    for route in routes:
        found = re.fullmatch(route.pattern, request.path)
        if found and route.method == wanted:
            return route.answer(request, *found.groups())
        if found:
            allowed.append(route.method)
    if allowed:
        refusal = json_response({"error": f"{request.method} is not possible here"}, 405)
        return refusal._replace(headers=(("allow", ", ".join(allowed)),))
    return json_response({"error": f"there is nothing at {request.path}"}, 404)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bookinfo"
    sys_version = ""
    disable_nagle_algorithm = True
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    server: Server

    def handle_one_request(self) -> None:
        self.server.waiting(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.server.busy(self.connection)
        return super().parse_request()

    def finish(self) -> None:
        self.server.busy(self.connection)
        super().finish()

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            return
        parts = urllib.parse.urlsplit(self.path)
        query = dict(reversed(urllib.parse.parse_qsl(parts.query)))
        request = Request(self.command, urllib.parse.unquote(parts.path), query, self.headers, body)
        try:
            response = answer(self.server.routes, request)
        except Exception:
            # The caller learns that it was us; the server prints what it was.
            self._reply(json_response({"error": "internal error"}, 500))
            raise
        self._reply(response)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _body(self) -> bytes | None:
        """The request's body; None when it was refused. What is not read would be taken for the next request."""
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            self.send_error(411, "Send the body with a Content-Length")
        elif not (length.isascii() and length.isdigit()):
            self.send_error(400, "Content-Length is not a number")
        elif len(length) > 9 or int(length) > _LARGEST_BODY:
            self.send_error(413, f"The body may have {_LARGEST_BODY} bytes")
        else:
            return self.rfile.read(int(length))
        return None

    def _reply(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("content-type", response.content_type)
        self.send_header("content-length", str(len(response.body)))
        self.send_header(POD_HEADER, self.server.pod)
        self.send_header(VERSION_HEADER, self.server.version)
        for name, value in response.headers:
            self.send_header(name, value)
        if self.server.stopping:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del size
        path = getattr(self, "path", "")  # there is none where the request line could not be read
        if path != "/health":
            print(self.command, json.dumps(path), int(code), flush=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        print(format % args, file=sys.stderr, flush=True)


class Server(ThreadingMixIn, TCPServer):
    """One thread a connection. It knows which connections wait for a request: those it may close at any time."""

    allow_reuse_address = True
    request_queue_size = 128
    stopping = False

    def __init__(self, address: tuple[str, int], name: str, routes: Sequence[Route]) -> None:
        self.name = name
        self.routes = routes
        self.pod = pod_name()
        self.version = version()
        self._lock = threading.Lock()
        self._waiting: set[socket.socket] = set()
        super().__init__(address, Handler)

    def waiting(self, connection: socket.socket) -> None:
        with self._lock:
            self._waiting.add(connection)
            if self.stopping:
                _end_reading(connection)

    def busy(self, connection: socket.socket) -> None:
        with self._lock:
            self._waiting.discard(connection)

    def run(self, stop: socket.socket) -> None:
        """Serves until ``stop`` has something to read; then serves what has come so far, and returns."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(stop, selectors.EVENT_READ)
            self.socket.setblocking(False)
            while not any(key.fileobj is stop for key, _ in selector.select()):
                self._accept()
        for _ in range(self.request_queue_size):
            if not self._accept():  # connections that the kernel has accepted for us; under load they would not end
                break
        self.socket.close()
        with self._lock:
            self.stopping = True
            for connection in self._waiting:
                _end_reading(connection)
        print(f"{self.name} stops: it takes no new connections and finishes what it has begun", flush=True)
        self.server_close()

    def _accept(self) -> bool:
        try:
            connection, address = self.get_request()
        except OSError:
            return False  # nobody was waiting, or went away before we looked
        connection.setblocking(True)
        self.process_request(connection, address)
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], ConnectionError):
            print(f"{client_address} went away before it had its answer", file=sys.stderr, flush=True)
        else:
            super().handle_error(request, client_address)


def _end_reading(connection: socket.socket) -> None:
    """Lets a connection's thread see the end. A request that is already in the kernel's buffer is still read."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError as error:
        print(f"a connection was already closed: {error}", file=sys.stderr, flush=True)


def serve(name: str, routes: Sequence[Route]) -> None:
    """Runs a service until SIGTERM or SIGINT; the process then ends with 0, or with 1 if the port cannot be had."""
    parser = argparse.ArgumentParser(description=f"The service {name} of Bookinfo.")
    parser.add_argument("--port", type=int, required=True, help="where to listen; 0 for any free port")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    options = parser.parse_args()
    try:
        server = Server((options.host, options.port), name, routes)
    except OSError as error:
        sys.exit(f"{name} cannot listen on {options.host} port {options.port}: {error.strerror}")
    wakeup, stop = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the wakeup socket is what ends the loop
    host, port = server.server_address[:2]
    print(f"{name} {server.version} listens on http://{host!s}:{port}", flush=True)
    with wakeup, stop:
        server.run(stop)
        signal.set_wakeup_fd(-1)
