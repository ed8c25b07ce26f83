"""On which addresses a gateway listens, for whoever is outside and for members of the mesh."""

from __future__ import annotations

from ipaddress import ip_address


def address_in_mesh(address: str, host: str) -> str:
    """Returns where members call a gateway that listens on ``address``; ``host`` is where they call what is on its host.

    Loopback is to each member its own where capture is transparent, and an address for all addresses is nobody's.
    """
    given = ip_address(address)
    return host if given.is_loopback or given.is_unspecified else address


def listened_at(address: str, inside: str) -> tuple[str, ...]:
    """Returns the addresses on which a gateway listens: its own, and ``inside``, where members call it."""
    return (address,) if inside in ("", address) or ip_address(address).is_unspecified else (address, inside)
