"""What is on the wire: packets as they pass an interface, and ends of TLS connections that are no proxies."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from mizzen.identity.certificates import Validity, new_leaf, new_root
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.capture.entering import in_namespace

Endpoint = tuple[str, int]

_ALL_PROTOCOLS = 0x0003
_IPV4 = 0x0800
_TCP = 6
_SOL_PACKET, _ADD_MEMBERSHIP, _STATISTICS, _PROMISCUOUS = 263, 1, 6, 1
_SO_RCVBUFFORCE = 33


@dataclass
class Sniffed:
    """The bytes of all TCP connections seen, each direction under its two ends, repetitions included."""

    streams: dict[tuple[Endpoint, Endpoint], bytearray] = field(default_factory=dict)

    def at(self, *ends: Endpoint) -> bytes:
        """Returns all that came from or went to one of these ends."""
        found = [data for (source, target), data in self.streams.items() if source in ends or target in ends]
        return b"\0".join(map(bytes, found))

    def everything(self) -> bytes:
        return b"\0".join(map(bytes, self.streams.values()))


@contextlib.contextmanager
def sniffing(interface: str, netns: str = "") -> Iterator[Sniffed]:
    """Records what passes an interface while the context lasts, in the network namespace of a path or in this one.

    At the end the kernel must not have dropped a packet for want of space.
    """
    sniffed = Sniffed()
    with contextlib.closing(_at(netns, lambda: _packet_socket(interface))) as packets:
        stop = threading.Event()
        reader = threading.Thread(target=_record, args=(packets, sniffed, stop))
        reader.start()
        try:
            yield sniffed
        finally:
            stop.set()
            reader.join()
        _, dropped = struct.unpack("II", packets.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        assert dropped == 0, f"{dropped} packets were not seen"


def _packet_socket(interface: str) -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 * 1024 * 1024)
    packets.bind((interface, _ALL_PROTOCOLS))
    # A bridge shows what it passes between its ports only to those who ask for everything.
    everything = struct.pack("iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
    packets.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, everything)
    return packets


def _record(packets: socket.socket, sniffed: Sniffed, stop: threading.Event) -> None:
    """Reads until it is stopped and nothing more is waiting."""
    while select.select([packets], [], [], 0.05)[0] or not stop.is_set():
        with contextlib.suppress(BlockingIOError):
            data, (_, protocol, *_) = packets.recvfrom(1 << 17, socket.MSG_DONTWAIT)
            if protocol == _IPV4 and (found := _payload(data)):
                source, target, payload = found
                sniffed.streams.setdefault((source, target), bytearray()).extend(payload)


def _payload(packet: bytes) -> tuple[Endpoint, Endpoint, bytes] | None:
    """Returns both ends and the payload of a TCP segment (RFC 791, RFC 9293)."""
    header = (packet[0] & 0x0F) * 4
    if packet[9] != _TCP or len(packet) < header + 20:
        return None
    (length,) = struct.unpack_from("!H", packet, 2)
    source_port, target_port = struct.unpack_from("!HH", packet, header)
    offset = (packet[header + 12] >> 4) * 4
    # A segment that the kernel will cut later may be too long for the field.
    payload = packet[header + offset : length or len(packet)]
    ends = (socket.inet_ntoa(packet[12:16]), source_port), (socket.inet_ntoa(packet[16:20]), target_port)
    return (*ends, payload) if payload else None


def _at(netns: str, make: Callable[[], socket.socket]) -> socket.socket:
    if not netns:
        return make()
    with Path(netns).open("rb") as namespace:
        return in_namespace(namespace.fileno(), make)


@dataclass(frozen=True)
class Authority:
    """A root that signs whatever a test asks for."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def stolen(cls, folder: Path) -> Authority:
        """The root of a mesh, from its state directory."""
        key = load_pem_private_key((folder / "root.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key, x509.load_pem_x509_certificate((folder / "root.crt").read_bytes()))

    @classmethod
    def made(cls, trust_domain: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, new_root(key, trust_domain, time.time()))

    def certificate_of(self, identity: SpiffeId, folder: Path) -> Path:
        """Writes a certificate, valid for ten minutes, and its key into a file; returns the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = time.time()
        leaf = new_leaf(key.public_key(), identity, Validity(now - 60, now + 600), self.key, self.certificate)
        file = folder / f"{identity.trust_domain}-{identity.service_account}-{leaf.serial_number:x}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + leaf.public_bytes(Encoding.PEM))
        return file


def ask(
    address: Endpoint, request: bytes, *, certificate: Path | None, tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> bytes:
    """Sends a request over TLS as a client with this certificate, or none; returns all that came back.

    The server is not checked. Raises OSError (ssl.SSLError is one) if either side ends it before an answer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = tls
    if certificate:
        context.load_cert_chain(certificate)
    with socket.create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as connection:
        return _exchange(connection, request)


def ask_in_plaintext(address: Endpoint, request: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as connection:
        return _exchange(connection, request)


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    if not answer:
        raise ConnectionResetError("closed without an answer")
    return answer


def _listen(address: Endpoint) -> socket.socket:
    """Listens as soon as whoever listened there before has gone."""
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_server(address)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def impostor(address: Endpoint, netns: str, certificate: Path, body: bytes) -> Iterator[None]:
    """A server that takes every client over TLS and answers each request with ``body``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = _at(netns, lambda: _listen(address))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if not select.select([listening], [], [], 0.05)[0]:
                continue
            plain, _ = listening.accept()
            # The client hangs up where it does not believe the certificate.
            with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                connection.settimeout(5)
                connection.recv(65536)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + body)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield
    finally:
        stop.set()
        server.join()
        listening.close()
