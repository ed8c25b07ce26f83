"""Host names as Istio compares them: short names, wildcards, and which of two is more specific.

Pure functions over text. Wildcard matching is plain comparison of what follows the ``*``: ``*.foo.com`` matches
``a.b.foo.com`` and not ``foo.com``; ``*foo.com`` also matches ``xfoo.com``. Source: istio/istio, ``pkg/config/host`` and
``pilot/pkg/model/config.go`` (ResolveShortnameToFQDN).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

DEFAULT_DOMAIN = "cluster.local"


def is_wildcard(host: str) -> bool:
    return host.startswith("*")


def is_ip_address(host: str) -> bool:
    # Most hosts are names, and to find out by an exception takes time.
    if ":" not in host and not host[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def comparable(host: str) -> str:
    """Returns a host as it is compared: in lower case (RFC 4343), and without the dot at the end that stands for the root.

    With that dot a name is the same one (RFC 1034, 3.1). Istio accepts such a host, and finds nothing that has it.
    """
    return host.removesuffix(".").lower()


def resolve(host: str, namespace: str, domain: str = DEFAULT_DOMAIN) -> str:
    """Returns the fully qualified name of a host that a resource of ``namespace`` names, for comparison.

    Only a name without a dot is short: ``reviews`` becomes ``reviews.<namespace>.svc.<domain>``; ``reviews.prod`` stays, and
    so does ``reviews.``, which is the name ``reviews`` itself.
    """
    plain = comparable(host)
    # What has no dot is an address only if it is of IPv6, which always has a colon.
    if not host or host == "*" or "." in host or (":" in host and is_ip_address(host)):
        return plain
    return f"{plain}.{namespace}.svc.{domain}"


def matches(one: str, other: str) -> bool:
    """Says whether two hosts have a name in common; either may be the wider one."""
    if is_wildcard(one) and is_wildcard(other):
        narrow, wide = (one, other) if len(one) >= len(other) else (other, one)
        return narrow[1:].endswith(wide[1:])
    if is_wildcard(one):
        return other.endswith(one[1:])
    if is_wildcard(other):
        return one.endswith(other[1:])
    return one == other


def subset_of(inner: str, outer: str) -> bool:
    """Says whether every name that ``inner`` stands for is one that ``outer`` stands for."""
    if is_wildcard(inner):
        return is_wildcard(outer) and len(inner) >= len(outer) and inner[1:].endswith(outer[1:])
    if is_wildcard(outer):
        return inner.endswith(outer[1:])
    return inner == outer


def specificity(host: str) -> tuple[bool, int, str]:
    """A sort key that puts more specific hosts first: exact before wildcard, longer before shorter, then by name."""
    return (is_wildcard(host), -len(host), host)


def most_specific(needle: str, hosts: Collection[str]) -> str | None:
    """Returns the host that fits ``needle`` best: itself, else the longest wildcard around it; None if none does.

    A wildcard needle is only found under wildcards.
    """
    if needle in hosts:
        return needle
    around = (host for host in hosts if is_wildcard(host) and subset_of(needle, host))
    return min(around, key=specificity, default=None)
