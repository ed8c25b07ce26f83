"""The same of TLS and TCP routes: those that no connection reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from mizzen.resources.findings import Finding, useless, warning
from mizzen.resources.hosts import comparable
from mizzen.resources.paths import join
from mizzen.resources.validation.coverage import Connections, covers_connections
from mizzen.resources.validation.unreachable import INEFFECTIVE, MOVE, UNREACHABLE
from mizzen.resources.virtual_service import L4MatchAttributes, TCPRoute, TLSMatchAttributes, TLSRoute

_Seen: TypeAlias = list[tuple[int, Connections]]


def unreachable_connections(
    kind: str, routes: Sequence[TLSRoute | TCPRoute], gateways: Sequence[str]
) -> Iterator[Finding]:
    """Yields warnings for routes of ``tls`` or ``tcp`` whose connections earlier ones take, and for repeated matches."""
    seen: _Seen = []
    for index, route in enumerate(routes):
        path = join(f"spec.{kind}", index)
        matches: Sequence[Connections] = route.match
        if not matches and isinstance(route, TCPRoute):
            matches = (L4MatchAttributes(),)
        covering = [_covering(match, seen, gateways) for match in matches]
        same = [next((at for at, earlier in seen if earlier == match), None) for match in route.match]
        if covering and covering[0] is not None and None not in covering:
            message = f"VirtualService rule is never used: {kind}[{covering[0]}] before it "
            if same and None not in same:
                message += "has the same match"
            else:
                message += "takes all of its connections" if routes[covering[0]].match else "takes all connections"
            yield useless(path, message, MOVE, UNREACHABLE, join(f"spec.{kind}", covering[0]))
        else:
            for position, at in enumerate(same):
                if at is not None:
                    message = f"this match is never used: {kind}[{at}] before it has the same one"
                    yield warning(join(f"{path}.match", position), message, "remove it", INEFFECTIVE)
        seen += [(index, match) for match in matches]


def _covering(match: Connections, seen: _Seen, gateways: Sequence[str]) -> int | None:
    """Returns the first route without which a match would take something; of server names each has one of its own."""
    taking = [(at, earlier) for at, earlier in seen if covers_connections(earlier, match, gateways)]
    if not isinstance(match, TLSMatchAttributes):
        return taking[0][0] if taking else None
    found = [
        next((at for at, earlier in taking if comparable(sni) in _names(earlier)), None) for sni in match.sni_hosts
    ]
    return found[0] if found and None not in found else None


def _names(match: Connections) -> frozenset[str]:
    return frozenset(map(comparable, match.sni_hosts)) if isinstance(match, TLSMatchAttributes) else frozenset()
