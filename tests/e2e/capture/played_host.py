"""A host to try transparent capture on, its machines, and programs to run there.

The host is a namespace too, so that nothing that runs on the real one, other meshes among it, disturbs the comparison
of before and after, or is disturbed.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv4Interface
from pathlib import Path

from mizzen.node.capture import entering, host, links, rules, sysctls
from mizzen.node.capture.addresses import hardware_address
from mizzen.node.capture.entering import in_namespace, new_namespace
from mizzen.node.capturing import DeclaredPort, Place
from mizzen.node.launching import launch_command
from mizzen.registry.reports import ServiceName

HTTP = (DeclaredPort(9080, "http"),)
SERVICES = [
    ServiceName(
        host=f"{name}.{namespace}.svc.cluster.local", name=name, namespace=namespace, address=address, ports=(9080,)
    )
    for name, namespace, address in (("reviews", "default", "240.240.0.1"), ("ratings", "shop", "240.240.0.2"))
]

# Accepts on Envoy's two ports and on the application's, all over the namespace; tells each client where it arrived,
# what it had asked for and who it seems to be.
SERVER = """
import selectors, socket, struct, sys
chosen = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    chosen.register(socket.create_server(("0.0.0.0", port)), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        client, peer = key.fileobj.accept()
        try:
            raw = client.getsockopt(socket.SOL_IP, 80, 16)  # SO_ORIGINAL_DST
            asked = socket.inet_ntoa(raw[4:8]) + ":" + str(struct.unpack_from("!H", raw, 2)[0])
        except OSError:
            asked = "-"
        client.sendall(f"{client.getsockname()[1]} {asked} {peer[0]}".encode())
        client.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as client:
    print(client.makefile().read())
"""
LOOKUP = """
import socket, sys
for name in sys.argv[1:]:
    try:
        print(sorted({found[4][0] for found in socket.getaddrinfo(name, 9080, type=socket.SOCK_STREAM)}))
    except socket.gaierror as error:
        print({socket.EAI_NONAME: "unknown", socket.EAI_AGAIN: "no server", socket.EAI_NODATA: "unknown"}[error.errno])
"""


def state_of_the_host() -> dict[str, object]:
    """All of the host that capture touches."""
    switches = [Path("/proc/sys/net/ipv4/ip_forward"), *Path("/proc/sys/net").glob("ipv*/conf/*/*forwarding")]
    switches += Path("/proc/sys/net").glob("ipv6/conf/*/disable_ipv6")
    held = [target(file) for file in Path("/proc/self/fd").iterdir()]
    return {
        "links": link_names(),
        "rules": ruleset(),
        "switches": {str(file): file.read_text() for file in switches},
        "claims": names_in(host.RUN_DIR),
        # Without those of containers, which other tests start on the real host.
        "named namespaces": [name for name in names_in(Path("/run/netns")) if not name.startswith("netns-")],
        "held namespaces": sorted(target for target in held if target.startswith("net:")),
    }


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


def link_names(prefix: str = "") -> set[str]:
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[1].rstrip(":").partition("@")[0] for line in listed.splitlines()}
    return {name for name in names if name.startswith(prefix)}


def ruleset() -> str:
    # Without counters, which differ from one time to the next.
    return subprocess.run(["nft", "--stateless", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:
        return ""


async def run(place: Place, code: str, *arguments: object, gid: int | None = None) -> str:
    """Runs Python code as an application of the place; returns what it printed."""
    command = launch_command(
        [sys.executable, "-c", code, *map(str, arguments)], netns=place.netns, resolv_conf=place.resolv_conf, gid=gid
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return (out or err.splitlines(keepends=True)[-1]).decode().strip()


@asynccontextmanager
async def serving(netns: str, *ports: int) -> AsyncIterator[None]:
    command = launch_command(
        [sys.executable, "-c", SERVER, *map(str, ports)], netns=netns, gid=rules.ENVOY_GROUP, die_with_parent=True
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        process.kill()
        await process.communicate()


@contextmanager
def played_host() -> Iterator[None]:
    """Moves this thread, and with it all threads and processes that it starts meanwhile, to a host with loopback."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    played = new_namespace(sysctls.disable_ipv6_for_new_links)
    try:
        _enter(played)
        # A new namespace has the real host's switch, which container engines turn.
        sysctls.set_forwarding("all", allowed=False)
        links.bring_up("lo", IPv4Interface("127.0.0.1/8"))
        yield
    finally:
        _enter(own)
        os.close(played)
        os.close(own)


def _enter(namespace: int) -> None:
    entering._system_call("setns", namespace, entering._NEW_NETWORK)


@contextmanager
def machine(name: str, prefix: str) -> Iterator[str]:
    """A machine that is not in the mesh, PREFIX.2, on a link of the host; it knows no way but through the host."""
    descriptor = new_namespace(sysctls.disable_ipv6_for_new_links)
    inner, outer = IPv4Interface(f"{prefix}.2/24"), IPv4Interface(f"{prefix}.1/24")
    links.add_pair(links.Pair(name, "eth0", hardware_address(inner.ip)), descriptor)
    in_namespace(descriptor, lambda: links.configure_inside("eth0", inner, outer.ip))
    links.bring_up(name, outer)
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        links.delete_link(name)
        os.close(descriptor)
