"""One mesh's part of the host: a bridge with a free subnet, masquerade, and permission to forward.

Several meshes share a host, start at the same moment and may be killed at any. Therefore all changes here are made
under one lock; each running mesh holds a claim, a locked file that the kernel releases with the process; and every
start and end first removes what belongs to a mesh whose claim nobody holds. ``namespaces.py`` adds the instances.

Forwarding is allowed on the bridge and, because answers arrive there, on the links over which the host's routes lead
(``forwarding.py``). All functions block.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import structlog

from mizzen.node.capture import firewall, links, nft, rules, sysctls
from mizzen.node.capture.addresses import choose_subnet, hardware_address
from mizzen.node.capture.forwarding import allow_forwarding, put_back_forwarding
from mizzen.node.capturing import CaptureError
from mizzen.settings import Settings

log = structlog.get_logger(__name__)

RUN_DIR = Path("/run/mizzen")

_BRIDGE = re.compile(re.escape(rules.BRIDGE_PREFIX) + r"([0-9a-f]{10})")
_TABLE = re.compile(r"mizzen-([0-9a-f]{10})")
_CLAIM = re.compile(r"([0-9a-f]{10})\.claim")


@dataclass(frozen=True)
class Identifier:
    """What a mesh is called on the host: a hash, since link names have 15 bytes; see :func:`identify`."""

    digest: str

    @property
    def bridge(self) -> str:
        return f"{rules.BRIDGE_PREFIX}{self.digest}"

    @property
    def table(self) -> str:
        """Its nftables table, and the comment of its rules in the tables of others."""
        return f"mizzen-{self.digest}"

    @property
    def claim(self) -> Path:
        return RUN_DIR / f"{self.digest}.claim"


@dataclass(frozen=True)
class HostNetwork:
    """The mesh's part of the host while it runs; ``claim`` is the descriptor of the locked file."""

    identifier: Identifier
    subnet: IPv4Network
    claim: int


def identify(settings: Settings) -> Identifier:
    """Two meshes of one name are two if their state directories differ, as for everything else on the host."""
    text = f"{settings.name}\0{settings.state_dir.absolute()}"
    return Identifier(hashlib.sha256(text.encode()).hexdigest()[:10])


def set_up(identifier: Identifier, avoid: Iterable[IPv4Address]) -> HostNetwork:
    """Prepares the host for a mesh; ``avoid`` are addresses that its subnet must not hold, as of DNS servers.

    Raises :class:`CaptureError` if the mesh runs already or no subnet is free, OSError if the kernel refuses; what was
    made is then removed again.
    """
    with _lock():
        _sweep()
        claim = _claim(identifier)
        if claim is None:
            raise CaptureError("this mesh is running already: its network is in use by another process")
        with contextlib.ExitStack() as undo:
            undo.callback(_put_back_forwarding)
            undo.callback(_release, identifier, claim)
            undo.callback(_remove, identifier)
            subnet = _free_subnet(identifier, avoid)
            _build(identifier, subnet)
            undo.pop_all()
    return HostNetwork(identifier, subnet, claim)


def tear_down(network: HostNetwork) -> None:
    """Removes the mesh's part of the host, with all links on its bridge."""
    with _lock(), contextlib.ExitStack() as steps:
        # Called last to first, each even if one before it failed.
        steps.callback(_put_back_forwarding)
        steps.callback(_release, network.identifier, network.claim)
        steps.callback(_remove, network.identifier)


def admit(network: HostNetwork, networks: Collection[str]) -> None:
    """Lets containers of these networks call the mesh's instances, until :func:`tear_down`; raises OSError."""
    nft.apply(rules.admit(network.identifier.table, sorted(networks)))


def clean_up(identifier: Identifier) -> bool:
    """Removes what a crashed mesh left, this one's and any other's; False if this one is running."""
    with _lock():
        _sweep()
        return identifier.digest not in _known()


def _build(identifier: Identifier, subnet: IPv4Network) -> None:
    bridge = identifier.bridge
    gateway = subnet[1]
    links.add_bridge(bridge, hardware_address(gateway))
    sysctls.disable_ipv6(bridge)
    sysctls.set_forwarding(bridge, allowed=True)
    nft.apply(rules.host_rules(identifier.table, bridge, subnet))
    firewall.let_pass(bridge, identifier.table)
    outward = [link for link in links.occupied().links if link != "lo" and not _BRIDGE.fullmatch(link)]
    allow_forwarding(outward, RUN_DIR)
    links.bring_up(bridge, IPv4Interface((gateway, subnet.prefixlen)))


def _remove(identifier: Identifier) -> None:
    with contextlib.ExitStack() as steps:
        steps.callback(firewall.withdraw, identifier.table)
        steps.callback(nft.delete_table, "ip", identifier.table)
        steps.callback(links.delete_bridge, identifier.bridge)


def _free_subnet(identifier: Identifier, avoid: Iterable[IPv4Address]) -> IPv4Network:
    taken = [*links.occupied().networks, *(IPv4Network(address) for address in avoid)]
    subnet = choose_subnet(taken, int(identifier.digest, 16))
    if subnet is None:
        raise CaptureError(
            "no private subnet is free: this host's addresses and routes cover 10.192.0.0/10, 172.16.0.0/12 and "
            "192.168.0.0/16; use --capture explicit"
        )
    return subnet


# The lock, claims and leftovers


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    RUN_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = os.open(RUN_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _claim(identifier: Identifier) -> int | None:
    """Returns a descriptor that holds the claim, or None if a living process does. Only under the lock."""
    descriptor = os.open(identifier.claim, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _release(identifier: Identifier, claim: int) -> None:
    identifier.claim.unlink(missing_ok=True)
    os.close(claim)


def _known() -> set[str]:
    """Returns the digests of the meshes that have anything here."""
    tables = [entry["table"]["name"] for entry in nft.listed("tables") if "table" in entry]
    claims = [file.name for file in RUN_DIR.iterdir()]
    named = [(_BRIDGE, links.link_names(rules.BRIDGE_PREFIX)), (_TABLE, tables), (_CLAIM, claims)]
    found = [pattern.fullmatch(name) for pattern, names in named for name in names]
    return {match[1] for match in found if match}


def _sweep() -> None:
    """Removes what belongs to meshes that run no more."""
    for digest in sorted(_known()):
        identifier = Identifier(digest)
        claim = _claim(identifier)
        if claim is None:
            continue
        with contextlib.ExitStack() as steps:
            steps.callback(_release, identifier, claim)
            steps.callback(_remove, identifier)
        log.info("removed the network of a mesh that had crashed", bridge=identifier.bridge)
    _put_back_forwarding()


def _put_back_forwarding() -> None:
    if not any(map(_BRIDGE.fullmatch, links.link_names(rules.BRIDGE_PREFIX))):
        put_back_forwarding(RUN_DIR)
