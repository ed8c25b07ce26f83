"""Containers that an engine has started on the played host: network namespaces that Mizzen did not make.

Each network is a link to the host, which is its gateway (.1); the container is .2 in it.
"""

import asyncio
import dataclasses
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from tests.e2e.capture.played_host import target
from tests.support.polling import eventually

from mizzen.node.capture import nft, sysctls
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.entering import in_namespace, new_namespace
from mizzen.node.capture.foreign import ForeignNamespace
from mizzen.node.capturing import DeclaredPort, Place

# Its DNS server listens elsewhere and is reached by rules, as Docker's.
DOCKERS_SERVER = ("127.0.0.11", 34567)
DOCKERS_RULES = """
table ip docker {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:34567
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 127.0.0.11 udp sport 34567 snat to 127.0.0.11:53
  }
}
"""
# They count what has happened, or cannot be read.
_NO_SETTINGS = ("nf_conntrack_count", "stable_secret")
_CLOSED = ("TIME-WAIT", "FIN-WAIT-1", "FIN-WAIT-2")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Container:
    """``descriptor`` is that of its network namespace, ``resolv_conf`` its own file, as a path on the host."""

    descriptor: int
    address: str
    resolv_conf: Path

    @property
    def netns(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def inside(self, work: Callable[[], Result]) -> Result:
        return in_namespace(self.descriptor, work)

    def command(self, *words: str) -> str:
        return self.inside(lambda: subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def settled(self) -> bool:
        return "tentative" not in self.command("ip", "addr")

    def foreign(self, *ports: int, instance: str = "reviews") -> ForeignNamespace:
        declared = tuple(DeclaredPort(port) for port in ports)
        return ForeignNamespace("default", instance, self.netns, self.address, declared, str(self.resolv_conf))

    def state(self) -> dict[str, object]:
        """All of its network that can be seen, with every setting of the kernel for it."""
        sockets = [line.split() for line in self.command("ss", "-Hantu").splitlines()]
        return {
            "rules": self.command("nft", "--stateless", "list", "ruleset"),
            "addresses": self.command("ip", "-o", "addr"),
            "routes": self.command("ip", "route", "show", "table", "all"),
            "routes of IPv6": self.command("ip", "-6", "route", "show", "table", "all"),
            "policies": self.command("ip", "rule"),
            # Without how much is waiting in each, and without those that are closed and the kernel has yet to forget.
            "sockets": sorted([*line[:2], *line[4:]] for line in sockets if line[1] not in _CLOSED),
            "settings": self.inside(_settings),
        }


def _settings() -> dict[str, str]:
    files = [file for file in Path("/proc/sys/net").rglob("*") if file.is_file() and file.name not in _NO_SETTINGS]
    return {str(file): file.read_text() for file in files if file.stat().st_mode & 0o400}


@contextmanager
def container(
    folder: Path, *networks: str, internal: bool = False, ipv6: bool = False, search: str = "dns.podman"
) -> Iterator[Container]:
    """A container in networks such as ``10.89.0``; no network of it leads anywhere else if they are ``internal``."""
    descriptor = new_namespace(_nothing if ipv6 else sysctls.disable_ipv6_for_new_links)
    made = Container(descriptor, f"{networks[0]}.2", folder / "container-resolv.conf")
    made.resolv_conf.write_text(f"search {search}\nnameserver {networks[0]}.1\n")
    links = [f"c{descriptor}-{number}" for number in range(len(networks))]
    try:
        made.command("ip", "link", "set", "lo", "up")
        for number, (link, network) in enumerate(zip(links, networks, strict=True)):
            _host("ip", "link", "add", link, "type", "veth", "peer", f"eth{number}", "netns", made.netns)
            _host("ip", "addr", "add", f"{network}.1/24", "dev", link)
            _host("ip", "link", "set", link, "up")
            made.command("ip", "addr", "add", f"{network}.2/24", "dev", f"eth{number}")
            made.command("ip", "link", "set", f"eth{number}", "up")
        if not internal:
            made.command("ip", "route", "add", "default", "via", f"{networks[0]}.1")
        eventually(made.settled, "the kernel has found out whether an address of IPv6 is another's, too")
        yield made
    finally:
        for link in links:
            subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)
        if target(Path(f"/proc/self/fd/{descriptor}")).startswith("net:"):
            os.close(descriptor)


def _nothing() -> None:
    pass


def _host(*words: str) -> None:
    subprocess.run(words, check=True)


class Resolver(asyncio.DatagramProtocol):
    """A DNS server: ``address`` is that of everything but ``nosuch...``; remembers the names that it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(name_in(data))
        self.transport.sendto(answer(data, self.address), addr)


@asynccontextmanager
async def resolving(address: str, answers: str) -> AsyncIterator[Resolver]:
    """A server on port 53 of an address of the host; ``answers`` is the address of everything."""
    loop = asyncio.get_running_loop()
    transport, resolver = await loop.create_datagram_endpoint(lambda: Resolver(answers), (address, 53))
    with closing(transport):
        yield resolver


@contextmanager
def dockers_resolver(container: Container, upstream: str) -> Iterator[None]:
    """Docker's DNS server in a container: knows ``db`` (192.0.2.11), asks ``upstream`` from inside for all else."""
    container.inside(lambda: nft.apply(DOCKERS_RULES))
    container.resolv_conf.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
    serving = container.inside(lambda: udp_socket(DOCKERS_SERVER))

    def serve() -> None:
        while (received := serving.recvfrom(4096))[0]:
            query, client = received
            if name_in(query) == "db":
                serving.sendto(answer(query, "192.0.2.11"), client)
            else:
                with closing(container.inside(lambda: udp_socket(("", 0)))) as asking, suppress(TimeoutError):
                    asking.settimeout(1)
                    asking.sendto(query, (upstream, 53))
                    serving.sendto(asking.recv(4096), client)

    with closing(serving), ThreadPoolExecutor(1) as thread:
        done = thread.submit(serve)
        try:
            yield
        finally:
            with closing(container.inside(lambda: udp_socket(("", 0)))) as ending:
                ending.sendto(b"", DOCKERS_SERVER)
            done.result()
            container.inside(lambda: nft.delete_table("ip", "docker"))


def udp_socket(address: tuple[str, int]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(address)
    return made


def name_in(query: bytes) -> str:
    return dns.message.from_wire(query).question[0].name.to_text(omit_final_dot=True)


def answer(query: bytes, address: str) -> bytes:
    asked = dns.message.from_wire(query)
    response = dns.message.make_response(asked)
    name, kind = asked.question[0].name, asked.question[0].rdtype
    if name.to_text().startswith("nosuch"):
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif kind == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", address))
    return response.to_wire()


@asynccontextmanager
async def attached(attachments: Attachments, container: Container) -> AsyncIterator[Place]:
    """The place, as the container itself sees it: with its own resolv.conf."""
    place = await attachments.attach(container.foreign(9080))
    yield dataclasses.replace(place, resolv_conf=str(container.resolv_conf))
    await attachments.detach(place)
