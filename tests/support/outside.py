"""What stands for the world outside a mesh: a server of HTTP and HTTPS at an address of this host."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from tests.support.programs import write_certificate

from mizzen.node.capture.entering import in_namespace

ResultT = TypeVar("ResultT")

HOST = "edition.cnn.com"
_HOSTS = (HOST, "httpbin.org", "www.google.com", "*.wikipedia.org", "de.localhost", "fr.localhost")
# Of a block that is for tests of networks (RFC 2544). Tests that run at once have one each.
_ADDRESSES = tuple(f"198.18.53.{number}" for number in range(1, 255))
# Not 127.0.0.1, for which no proxy is asked.
_LOOPBACK = "127.0.53.1"


@dataclass(frozen=True)
class Outside:
    """``folder`` has a certificate for the hosts that Istio's tasks call (chain.pem, key.pem), which is its own root."""

    address: str
    http: int
    https: int
    folder: Path

    @property
    def chain(self) -> str:
        return str(self.folder / "chain.pem")

    def here(self, text: str, **tls: str) -> str:
        """Returns resources that are for a host of the Internet as they are for this server; ``tls`` is added to a rule."""
        documents = [one for one in yaml.safe_load_all(text) if one]
        for document in documents:
            spec = document["spec"]
            if document["kind"] == "ServiceEntry" and "resolution" in spec:
                ports = {port["name"]: self._port(port) for port in spec["ports"]}
                spec |= {"resolution": "STATIC", "endpoints": [{"address": self.address, "ports": ports}]}
            if document["kind"] == "DestinationRule":
                for port in spec.get("trafficPolicy", {}).get("portLevelSettings", []):
                    if port["tls"]["mode"] == "SIMPLE":
                        port["tls"] |= {"caCertificates": self.chain, **tls}
        return yaml.safe_dump_all(documents)

    def _port(self, port: dict[str, Any]) -> int:
        return self.https if 443 in (port["number"], port.get("targetPort")) else self.http


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers each request with a text."""

    protocol_version = "HTTP/1.1"

    def text(self) -> str:
        raise NotImplementedError

    def do_GET(self) -> None:
        body = self.text().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Answer(Answering):
    """Tells how it was asked, for which host, and whether it was shown a certificate; for /delay/SECONDS after these."""

    def text(self) -> str:
        if self.path.startswith("/delay/"):
            time.sleep(int(self.path.removeprefix("/delay/")))
        secure = isinstance(self.connection, ssl.SSLSocket)
        shown = isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert(binary_form=True)
        return f"{'https' if secure else 'http'} {self.headers['Host']}{' known' if shown else ''}"


@contextlib.contextmanager
def outside(
    folder: Path, *, captured: bool, netns: str = "", loopback: str = _LOOPBACK, ports: tuple[int, int] = (0, 0)
) -> Iterator[Outside]:
    """Runs the server while the context lasts, on the host with this network namespace or on this one.

    Where traffic is ``captured`` it is not at ``loopback``, which is the caller's own. ``ports`` are those for HTTP and for
    HTTPS; 0 is any.
    """
    write_certificate(folder, *_HOSTS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    context.load_verify_locations(folder / "chain.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(own_address(netns)) if captured else loopback
        plain, secure = (stack.enter_context(_server((address, port), netns)) for port in ports)
        secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
        for server in (plain, secure):
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield Outside(address, plain.server_port, secure.server_port, folder)


@contextlib.contextmanager
def _server(address: tuple[str, int], netns: str) -> Iterator[http.server.ThreadingHTTPServer]:
    with _inside(netns, lambda: http.server.ThreadingHTTPServer(address, _Answer)) as server:
        server.daemon_threads = True
        yield server


@contextlib.contextmanager
def own_address(netns: str = "") -> Iterator[str]:
    """Has an address on the loopback device that nobody else has there, while the context lasts."""
    address = next(one for one in _ADDRESSES if _inside(netns, partial(_added, one)))
    try:
        yield address
    finally:
        _inside(netns, lambda: subprocess.run(_ip("delete", address), check=True))


def _added(address: str) -> bool:
    """Adds an address; False if it is there already."""
    done = subprocess.run(_ip("add", address), check=False, capture_output=True, text=True)
    there = any(words in done.stderr for words in ("File exists", "already assigned"))
    assert there or done.returncode == 0, done.stderr
    return not there


def _ip(how: str, address: str) -> list[str]:
    return ["ip", "address", how, f"{address}/32", "dev", "lo"]


def _inside(netns: str, work: Callable[[], ResultT]) -> ResultT:
    """Does something in a network namespace; what is opened there stays there."""
    if not netns:
        return work()
    with Path(netns).open("rb") as namespace:
        return in_namespace(namespace.fileno(), work)
