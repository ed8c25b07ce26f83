"""Rules for the egress listeners of a Sidecar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mizzen.resources.egress_hosts import ANY, NONE, OWN
from mizzen.resources.findings import Finding, unsupported, warning
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join
from mizzen.resources.sidecar import UNIX, EgressListener, SidecarSpec
from mizzen.resources.validation import names
from mizzen.resources.validation.sidecar_ports import port


def egress(spec: SidecarSpec, namespace: str) -> Iterator[Finding]:
    taken: set[int] = set()
    catches_all = False
    for index, listener in enumerate(spec.egress):
        path = join("spec.egress", index)
        if listener.port is not None:
            yield from _with_port(path, listener, taken)
        elif catches_all:
            yield Finding(path, "sidecar: egress can have only one listener with empty port", hint="put both into one")
        else:
            catches_all = True
            yield from _without_port(path, listener, last=index == len(spec.egress) - 1)
        yield from _hosts(f"{path}.hosts", listener, namespace)


def _with_port(path: str, listener: EgressListener, taken: set[int]) -> Iterator[Finding]:
    assert listener.port is not None
    if listener.bind.startswith(UNIX) or (listener.port.number == 0 and not listener.bind):
        yield from _unix(path, listener)
        return
    yield from port(f"{path}.port", listener.port, outward=True)
    if listener.port.number in taken:
        yield Finding(f"{path}.port.number", "sidecar: ports on IP bound listeners must be unique")
    taken.add(listener.port.number)
    if listener.bind and not is_ip_address(listener.bind):
        yield Finding(f"{path}.bind", f"{listener.bind!r} is not a valid IP address", hint="such as 127.0.0.1")


def _unix(path: str, listener: EgressListener) -> Iterator[Finding]:
    if not listener.bind.startswith(UNIX):
        yield from names.port_number(f"{path}.port.number", 0)
        return
    if listener.capture_mode == "IPTABLES":
        message = "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners"
        yield Finding(f"{path}.captureMode", message, hint="remove it")
    message = "a sidecar that listens on a Unix socket is not implemented yet in this version of Mizzen"
    hint = "remove it, and give the port a number"
    yield unsupported(path, "EgressListener.bind", message, hint)


def _without_port(path: str, listener: EgressListener, *, last: bool) -> Iterator[Finding]:
    if not last:
        message = "sidecar: the egress listener with empty port should be the last listener in the list"
        yield Finding(path, message, hint="it takes what the others leave over: move it to the end")
    hint = "write a listener with a `port` for each port that it should be called on"
    if listener.bind:
        message = "a `bind` without a `port` is not implemented yet in this version of Mizzen"
        yield unsupported(path, "EgressListener.bind", message, hint)
    if listener.capture_mode == "NONE":
        message = "captureMode NONE without a `port` is not implemented yet in this version of Mizzen"
        yield unsupported(path, "EgressListener.captureMode", message, hint)


def _hosts(path: str, listener: EgressListener, namespace: str) -> Iterator[Finding]:
    if not listener.hosts:
        hint = 'such as "./*" for the own namespace, or "*/*" for all'
        yield Finding(path, "sidecar: egress listener must contain at least one host", hint=hint)
    seen: dict[str, set[str]] = defaultdict(set)
    for index, written in enumerate(listener.hosts):
        where = join(path, index)
        wrong = list(_host(where, written))
        yield from wrong
        if wrong:
            continue
        home, _, host = written.partition("/")
        known = seen[namespace if home == OWN else home]
        if host in known or ANY in known or (host == ANY and known):
            yield warning(where, f"duplicated egress host: {written}", "remove one of them")
        known.add(host)
    if ANY in seen.get(ANY, ()) and any(not home.startswith(NONE) for home in seen.keys() - {ANY}):
        yield warning(path, "`*/*` host select all resources, no other hosts can be added", "remove the others")


def _host(path: str, written: str) -> Iterator[Finding]:
    home, slash, host = written.partition("/")
    if not slash or "/" in host:
        hint = f'write "./{written}" or "*/{written}"' if not slash else ""
        yield Finding(path, f"host must be of form namespace/dnsName: {written!r}", hint=hint)
        return
    if not home or not host:
        yield Finding(path, "config namespace and dnsName in host entry cannot be empty")
        return
    bare = home.removeprefix(NONE)
    if bare not in ("", ANY, OWN) and not names.is_dns_label(bare):
        yield Finding(path, f"invalid namespace value {home!r} in {written!r}", hint="a namespace, `.`, `*` or `~`")
    if host != ANY:
        yield from names.domain(path, host)
