"""Routes that no request reaches, and matches that add nothing: Istio's IST0130 and IST0131."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mizzen.resources.findings import Finding, useless, warning
from mizzen.resources.paths import join
from mizzen.resources.virtual_service import HTTPMatchRequest, HTTPRoute

_UNREACHABLE = "IST0130"
_INEFFECTIVE = "IST0131"


def unreachable(routes: Sequence[HTTPRoute]) -> Iterator[Finding]:
    """Yields warnings for routes behind one that takes every request, and for matches that an earlier route has."""
    catch_all: int | None = None
    seen: dict[str, int] = {}
    prefixes: list[tuple[int, str]] = []
    for index, route in enumerate(routes):
        path = join("spec.http", index)
        if catch_all is not None:
            message = (
                f"VirtualService rule is never used: http[{catch_all}] before it has no match and takes all requests"
            )
            yield useless(path, message, "move it before that one, or remove it", _UNREACHABLE, _rule(catch_all))
            continue
        if route.delegate:
            continue  # the delegate may take less than its matches say
        if not route.match:
            catch_all = index
            continue
        yield from _repeated(path, route, seen)
        yield from _shadowed(path, route, prefixes)
        for match in route.match:
            seen.setdefault(_said(match), index)
            if _only_prefix(match):
                prefixes.append((index, match.uri.prefix if match.uri and match.uri.prefix else ""))


def _repeated(path: str, route: HTTPRoute, seen: dict[str, int]) -> Iterator[Finding]:
    earlier = [seen.get(_said(match)) for match in route.match]
    if earlier[0] is not None and None not in earlier:
        message = f"VirtualService rule is never used: http[{earlier[0]}] before it has the same match"
        yield useless(path, message, "remove it, or change its match", _UNREACHABLE, _rule(earlier[0]))
        return
    for position, index in enumerate(earlier):
        if index is not None:
            message = f"this match is never used: http[{index}] before it has the same one"
            yield warning(join(f"{path}.match", position), message, "remove it", _INEFFECTIVE)


def _shadowed(path: str, route: HTTPRoute, prefixes: list[tuple[int, str]]) -> Iterator[Finding]:
    for position, match in enumerate(route.match):
        uri = match.uri and (match.uri.exact or match.uri.prefix)
        if not uri or (match.uri and match.uri.prefix in {prefix for _, prefix in prefixes} and _only_prefix(match)):
            # Without a path it may be reached; the very same match is reported as repeated.
            continue
        index = next((index for index, prefix in prefixes if uri.startswith(prefix)), None)
        if index is not None and not match.ignore_uri_case:
            message = f"this match is never used: the uri prefix of http[{index}] before it takes these requests"
            yield warning(join(f"{path}.match", position), message, "move it before that one", _INEFFECTIVE)


def _rule(index: int) -> str:
    return join("spec.http", index)


def _only_prefix(match: HTTPMatchRequest) -> bool:
    """Says whether a match is a case-sensitive prefix of the path and nothing else."""
    return match.model_fields_set - {"name"} == {"uri"} and match.uri is not None and bool(match.uri.prefix)


def _said(match: HTTPMatchRequest) -> str:
    return json.dumps(
        match.model_dump(mode="json", exclude_defaults=True, exclude={"name", "stat_prefix"}), sort_keys=True
    )
