"""Rules for the ports of a Sidecar's listeners."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, unsupported, warning
from mizzen.resources.sidecar import HTTP_PROXY, SidecarPort
from mizzen.resources.validation import names

_KNOWN = {"HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "MYSQL", "REDIS", "TCP", "TLS"}
_LATER = {"UDP", "HBONE", "DOUBLEHBONE"}


def port(path: str, given: SidecarPort, *, outward: bool) -> Iterator[Finding]:
    """Checks a port; ``outward`` is for egress, where a listener may be a forward proxy."""
    yield from names.port_number(f"{path}.number", given.number)
    if given.target_port is not None:
        yield warning(f"{path}.targetPort", "targetPort has no impact on Sidecars", "remove it")
    known = _KNOWN | {HTTP_PROXY} if outward else _KNOWN
    protocol = given.protocol.upper()
    if protocol in _LATER:
        message = f"{protocol} is part of Istio's API but not implemented yet in this version of Mizzen"
        yield unsupported(path, "SidecarPort.protocol", message, "remove the listener")
    elif protocol not in known:
        message = f"unsupported protocol {given.protocol!r}" if protocol else "the port needs a `protocol`"
        yield Finding(f"{path}.protocol", message, hint=f"one of {', '.join(sorted(known))}")
