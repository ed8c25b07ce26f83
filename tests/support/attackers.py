"""What an attacker does who is root in a workload's network namespace, and the applications that tell what reached them.

All of it happens inside the namespace, in threads of the test's own process: a socket stays in the namespace where it was
made, and in the group that made it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.meshes import Mesh
from tests.support.wire import Endpoint, ask_in_plaintext

from mizzen.node.capture.entering import in_namespace
from mizzen.node.capture.rules import ENVOY_GROUP

Result = TypeVar("Result")

PORT = 8080
ACCOUNT = "spiffe://cluster.local/ns/default/sa/"
XFCC = "x-forwarded-client-cert"

# Listens on all addresses, as most applications do. Answers each request with the headers that it came with, and counts by
# paths; `/seen/PATH` tells the count of a path, `/undelivered/...` and `/failing/...` are answers that cause retries.
SERVER = """
import collections, http.server, json, sys
seen = collections.Counter()
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        counted = self.path.startswith("/seen")
        if not counted:
            seen[self.path] += 1
        body = json.dumps(seen[self.path[5:]] if counted else self.headers.items()).encode()
        self.send_response(503 if self.path.startswith(("/undelivered", "/failing")) else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path.startswith("/undelivered"):
            self.send_header("x-mizzen-undelivered", "true")
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Answer).serve_forever()
"""


def netns(mesh: Mesh, name: str) -> str:
    return str(mesh.get(f"/v1/workloads/default/{name}/exec")["netns"])


def inside(mesh: Mesh, name: str, work: Callable[[], Result], *, group: int = 0) -> Result:
    """Returns what ``work`` returns in the network namespace of a workload, in Envoy's group for instance."""

    def as_group() -> Result:
        # Of this thread alone, which ends afterwards. The kernel asks whoever made a socket for this group.
        ctypes.CDLL(None).setfsgid(group)
        return work()

    with Path(netns(mesh, name)).open("rb") as namespace:
        return in_namespace(namespace.fileno(), as_group)


def past_its_proxy(mesh: Mesh, name: str, work: Callable[[], Result]) -> Result:
    """The same for one who has joined the group of Envoy, whose connections are not captured."""
    return inside(mesh, name, work, group=ENVOY_GROUP)


def request(path: str, *headers: str, host: str = f"victim:{PORT}", more: bytes = b"") -> bytes:
    """A request by hand: headers as they are given, ``more`` in the same packet."""
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + more


def last_request(path: str, *headers: str, host: str = f"victim:{PORT}") -> bytes:
    return request(path, "Connection: close", *headers, host=host)


def parsed(answer: bytes) -> tuple[int, Any]:
    """Returns the status of an answer, and what its body says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer
    chunk = body.partition(b"\r\n")[2] if b"chunked" in head.lower() else body
    try:
        said, _ = json.JSONDecoder().raw_decode(chunk.decode())
    except ValueError:
        said = chunk
    return int(head[9:12]), said


def service_address(mesh: Mesh, name: str) -> str:
    (service,) = mesh.get("/v1/resources", kind="Service", name=name)["items"]
    return str(service["status"]["address"])


def call(mesh: Mesh, caller: str, callee: str, path: str, *headers: str, host: str = "") -> tuple[int, Any]:
    """Calls a service as an application of the caller does, through the caller's proxy."""
    sent = last_request(path, *headers, host=host or f"{callee}:{PORT}")
    address = service_address(mesh, callee), PORT
    return parsed(inside(mesh, caller, lambda: ask_in_plaintext(address, sent)))


def ask_application(mesh: Mesh, name: str, path: str, *headers: str) -> Any:
    """Asks an application from its own side, where no proxy is between."""
    sent = last_request(path, *headers)
    return parsed(inside(mesh, name, lambda: ask_in_plaintext(("127.0.0.1", PORT), sent)))[1]


def seen(mesh: Mesh, name: str, path: str) -> int:
    """Returns how many requests for this path an application has had."""
    return int(ask_application(mesh, name, f"/seen{path}"))


def values(headers: list[list[str]], name: str) -> list[str]:
    return [value for one, value in headers if one.lower() == name]


def ask_after_a_stray_packet(address: Endpoint, sent: bytes) -> bytes:
    """Asks in plaintext, on a connection that the other side's kernel has taken for an old one.

    Rules that redirect are asked for the first packet of a connection that the kernel remembers. Here that one is no SYN;
    it bears a signature (RFC 2385) that nobody expects, so that it is dropped without an answer, but after it was
    remembered.
    """
    with socket.socket() as connection:
        connection.settimeout(10)
        connection.bind(("0.0.0.0", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            own = probe.getsockname()[0]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            raw.sendto(_signed_ack((own, connection.getsockname()[1]), address), (address[0], 0))
        time.sleep(0.1)  # Nothing tells that it has arrived.
        connection.connect(address)
        connection.sendall(sent)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    if not answer:
        raise ConnectionResetError("closed without an answer")
    return answer


def _signed_ack(source: Endpoint, target: Endpoint) -> bytes:
    option = b"\x13\x12" + bytes(16) + b"\x01\x01"
    length, ack = 20 + len(option), 0x10
    ports_and_numbers = struct.pack("!HHII", source[1], target[1], 1000, 2000)
    flags = struct.pack("!BBH", length // 4 << 4, ack, 1024)
    pseudo = (
        socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, length)
    )
    summed = pseudo + ports_and_numbers + flags + bytes(4) + option
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ports_and_numbers + flags + struct.pack("!HH", ~total & 0xFFFF, 0) + option


def nft(mesh: Mesh, name: str, *arguments: str, given: str = "") -> str:
    """Runs nft in the network namespace of a workload."""
    command = ["nsenter", f"--net={netns(mesh, name)}", "nft", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def own_rule(mesh: Mesh, name: str, rule: str, kind: str = "nat") -> Iterator[None]:
    """A workload's own rule for what it sends, which comes before those of the mesh, while the context lasts."""
    chain = f"type {kind} hook output priority -150; policy accept;\n{rule}"
    nft(mesh, name, "-f", "-", given=f"table ip attack {{\nchain output {{\n{chain}\n}}\n}}\n")
    try:
        yield
    finally:
        nft(mesh, name, "delete", "table", "ip", "attack")


def listening(mesh: Mesh, name: str) -> set[int]:
    """Returns the TCP ports at which anybody listens in the network namespace of a workload."""

    def read() -> set[int]:
        lines = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
        return {int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[3] == "0A"}

    return inside(mesh, name, read)


def unix_sockets(mesh: Mesh, name: str) -> list[str]:
    """Returns the names of the Unix sockets of the network namespace of a workload: paths, or `@name`."""

    def read() -> list[str]:
        lines = Path("/proc/thread-self/net/unix").read_text().splitlines()[1:]
        return [fields[7] for line in lines if len(fields := line.split()) > 7]

    return inside(mesh, name, read)


def sockets_of_the_mesh(mesh: Mesh) -> list[Path]:
    """Returns the Unix sockets of the node, the control plane and the Envoys."""
    return sorted(path for path in mesh.settings.sockets.rglob("*") if path.is_socket())
