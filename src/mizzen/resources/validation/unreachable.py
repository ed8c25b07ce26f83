"""Routes of requests that none reaches, and matches that add nothing: Istio's IST0130 and IST0131.

Istio finds what is behind a route without a match, what is repeated, and prefixes within prefixes. Here a route is unreachable
as well if earlier ones cover its matches in any other way.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from mizzen.resources.findings import Finding, useless, warning
from mizzen.resources.model import StringMatch
from mizzen.resources.paths import join
from mizzen.resources.validation.coverage import covers_requests
from mizzen.resources.virtual_service import HTTPMatchRequest, HTTPRoute

UNREACHABLE = "IST0130"
INEFFECTIVE = "IST0131"
MOVE = "move it before that one, or remove it"


def unreachable(routes: Sequence[HTTPRoute], gateways: Sequence[str]) -> Iterator[Finding]:
    """Yields warnings for routes whose requests earlier ones take, and for matches that an earlier route has.

    ``gateways`` are those of the VirtualService.
    """
    catch_all: int | None = None
    earlier = _Earlier()
    for index, route in enumerate(routes):
        path = join("spec.http", index)
        if catch_all is not None:
            message = (
                f"VirtualService rule is never used: http[{catch_all}] before it has no match and takes all requests"
            )
            yield useless(path, message, MOVE, UNREACHABLE, _rule(catch_all))
            continue
        if route.delegate:
            continue  # the delegate may take less than its matches say
        covering = [earlier.covering(match, gateways) for match in route.match or (HTTPMatchRequest(),)]
        found = [*_repeated(path, route, earlier), *_shadowed(path, route, earlier)]
        yield from _refusing(path, found, [at for at in covering if at is not None], whole=None not in covering)
        if not route.match:
            catch_all = index
        for match in route.match:
            earlier.add(index, match)


def _refusing(path: str, found: Sequence[Finding], covering: Sequence[int], *, whole: bool) -> Iterator[Finding]:
    """Yields what Istio says of a route, as of one that is not to be applied if the whole is covered."""
    if not whole or any(one.in_vain for one in found):
        yield from found
    elif found:
        yield from (replace(one, other=one.other or _rule(covering[0]), in_vain=True) for one in found)
    else:
        message = f"VirtualService rule is never used: http[{covering[0]}] before it takes all of its requests"
        yield useless(path, message, MOVE, UNREACHABLE, _rule(covering[0]))


def _repeated(path: str, route: HTTPRoute, earlier: _Earlier) -> Iterator[Finding]:
    same = [earlier.same(match) for match in route.match]
    if same and same[0] is not None and None not in same:
        message = f"VirtualService rule is never used: http[{same[0]}] before it has the same match"
        yield useless(path, message, "remove it, or change its match", UNREACHABLE, _rule(same[0]))
        return
    for position, index in enumerate(same):
        if index is not None:
            message = f"this match is never used: http[{index}] before it has the same one"
            yield warning(join(f"{path}.match", position), message, "remove it", INEFFECTIVE)


def _shadowed(path: str, route: HTTPRoute, earlier: _Earlier) -> Iterator[Finding]:
    for position, match in enumerate(route.match):
        index = earlier.prefix_of(match)
        if index is not None:
            message = f"this match is never used: the uri prefix of http[{index}] before it takes these requests"
            yield warning(join(f"{path}.match", position), message, "move it before that one", INEFFECTIVE)


def _rule(index: int) -> str:
    return join("spec.http", index)


@dataclass(frozen=True)
class _Seen:
    index: int
    match: HTTPMatchRequest
    said: str


class _Earlier:
    """The matches of earlier routes, each kept by one thing that it asks for: of a thousand few ask for what another does."""

    def __init__(self) -> None:
        self._kept: defaultdict[_Asked, list[_Seen]] = defaultdict(list)

    def add(self, index: int, match: HTTPMatchRequest) -> None:
        self._kept[next(_asked(match), _NOTHING)].append(_Seen(index, match, _said(match)))

    def covering(self, match: HTTPMatchRequest, gateways: Sequence[str]) -> int | None:
        """Returns the first route that takes every request of a match."""
        return min(
            (one.index for one in self._near(match) if covers_requests(one.match, match, gateways)), default=None
        )

    def same(self, match: HTTPMatchRequest) -> int | None:
        """Returns the first route with the same match."""
        kept, said = self._kept.get(next(_asked(match), _NOTHING), ()), _said(match)
        return min((one.index for one in kept if one.said == said), default=None)

    def prefix_of(self, match: HTTPMatchRequest) -> int | None:
        """Returns the first route with nothing but a prefix of a match's path; the very same match is repeated, no more."""
        uri = match.uri and (match.uri.exact or match.uri.prefix)
        if not uri or match.ignore_uri_case:
            return None
        wide = [
            (one.index, one.match.uri.prefix) for one in self._near(match) if one.match.uri and _only_prefix(one.match)
        ]
        if _only_prefix(match) and uri in {prefix for _, prefix in wide}:
            return None
        return min((index for index, prefix in wide if prefix and uri.startswith(prefix)), default=None)

    def _near(self, match: HTTPMatchRequest) -> Iterator[_Seen]:
        """Yields the matches that may cover this one: what they are kept by it asks for, too, or it is more of the path."""
        path = _path(match)
        for key in {_NOTHING, *_asked(match), *(("path", path[:end]) for end in range(1, len(path)))}:
            yield from self._kept.get(key, ())


_Asked: TypeAlias = tuple[str, ...]
_NOTHING: _Asked = ()


def _asked(match: HTTPMatchRequest) -> Iterator[_Asked]:
    """Yields what a match that covers this one, or is covered by it, has in common with it, what tells most first."""
    if path := _path(match):
        yield "path", path
    for name in ("headers", "query_params", "without_headers"):
        compared: Mapping[str, StringMatch] = getattr(match, name)
        for key, value in compared.items():
            if text := value.exact or value.regex:
                yield name, key, text
    if match.authority and (text := match.authority.exact or match.authority.regex):
        yield "authority", text
    if not match.gateways:
        yield from (("label", *label) for label in match.source_labels.items())
        if match.source_namespace:
            yield "namespace", match.source_namespace
    if match.port:
        yield "port", str(match.port)


def _path(match: HTTPMatchRequest) -> str:
    """Returns the path of a match, "" for all paths; only what is a beginning of it can cover it."""
    uri = match.uri
    if uri is None or uri.prefix == "/" or uri.regex == ".*":
        return ""
    return (uri.exact or uri.prefix or "").lower() if uri.regex is None else f"expression {uri.regex}"


def _only_prefix(match: HTTPMatchRequest) -> bool:
    """Says whether a match is a case-sensitive prefix of the path and nothing else."""
    return match.model_fields_set - {"name"} == {"uri"} and match.uri is not None and bool(match.uri.prefix)


def _said(match: HTTPMatchRequest) -> str:
    return json.dumps(
        match.model_dump(mode="json", exclude_defaults=True, exclude={"name", "stat_prefix"}), sort_keys=True
    )
