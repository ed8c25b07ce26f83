"""Clients outside the mesh, which call its gateways as browsers and curl do: by an address, with a name of their own choice."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Visitor:
    """``ca`` vouches for servers; ``certificate`` and its key are the client's own, if it has one."""

    ca: Path
    certificate: tuple[Path, Path] | None = None

    def get(self, port: int, host: str, path: str = "/", *, secure: bool = False) -> Answer:
        """Asks for a page. Raises OSError (ssl.SSLError, ConnectionError) where nobody answers."""
        if secure:
            with self.connected(port, host) as connection:
                return _ask(connection, host, path)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            return _ask(plain, host, path)

    @contextlib.contextmanager
    def connected(self, port: int, host: str) -> Iterator[ssl.SSLSocket]:
        """Opens a connection with TLS."""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            self._context().wrap_socket(plain, server_hostname=host) as connection,
        ):
            yield connection

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate:
            context.load_cert_chain(*self.certificate)
        return context


def _ask(connection: socket.socket, host: str, path: str) -> Answer:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    text = b""
    while part := connection.recv(65536):
        text += part
    if not text:
        raise ConnectionError("closed without an answer")
    head, _, body = text.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)
