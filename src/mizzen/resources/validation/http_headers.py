"""Istio's rules for changing headers."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.virtual_service import HeaderOperations, Headers

_AUTHORITY = frozenset({":authority", "host"})


def headers(path: str, given: Headers | None, rewritten_authority: str = "") -> Iterator[Finding]:
    """Checks the header operations of a route, whose rewrite sets the authority too if it is given."""
    if given is None:
        return
    if given.request is not None:
        yield from _operations(f"{path}.request", given.request, request=True)
        written = [name for name in (*given.request.set, *given.request.add) if name.lower() in _AUTHORITY]
        if len(written) + bool(rewritten_authority) > 1:
            yield Finding(f"{path}.request", "authority header cannot be set multiple times")
    if given.response is not None:
        yield from _operations(f"{path}.response", given.response, request=False)


def _operations(path: str, given: HeaderOperations, *, request: bool) -> Iterator[Finding]:
    for operation, values in (("set", given.set), ("add", given.add)):
        for name, value in values.items():
            where = join(f"{path}.{operation}", name)
            if not (request and name.lower() in _AUTHORITY):
                yield from _changed_name(where, name)
            yield from names.header_value(where, value)
    for index, name in enumerate(given.remove):
        yield from _changed_name(join(f"{path}.remove", index), name)


def _changed_name(path: str, name: str) -> Iterator[Finding]:
    if name.startswith(":"):
        yield Finding(path, f'header cannot have ":" prefix: {name!r}')
    elif name.lower() == "host":
        yield Finding(path, "cannot set Host header", hint="use `rewrite.authority` to send another host")
    else:
        yield from names.header_name(path, name)
