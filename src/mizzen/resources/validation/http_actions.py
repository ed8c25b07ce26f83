"""Istio's rules for what happens to a matched request: redirect, direct response, rewrite, retries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from mizzen.resources.findings import Finding, warning
from mizzen.resources.validation import names
from mizzen.resources.virtual_service import HTTPDirectResponse, HTTPRetry, HTTPRewrite, HTTPRoute

REDIRECT_CODES = (301, 302, 303, 307, 308)

RETRY_ON = frozenset(
    [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ]
)


def redirect(path: str, route: HTTPRoute) -> Iterator[Finding]:
    """Checks the redirect of a route; its matches count, for a prefix is only replaced where one is matched."""
    given = route.redirect
    if given is None:
        return
    if given.uri and given.prefix_rewrite:
        yield Finding(path, "redirect may only contain one of uri or prefixRewrite")
    if given.prefix_rewrite and not (route.match and all(one.uri and one.uri.prefix for one in route.match)):
        yield Finding(f"{path}.prefixRewrite", "redirect.prefixRewrite requires a prefix match in all matches")
    if not (given.uri or given.prefix_rewrite or given.authority or given.scheme or given.port or given.derive_port):
        yield Finding(path, "redirect must specify URI, authority, scheme, or port")
    if given.scheme not in {"", "http", "https"}:
        yield Finding(f"{path}.scheme", f"invalid scheme {given.scheme!r} for redirect: must be http or https")
    if given.redirect_code and given.redirect_code not in REDIRECT_CODES:
        message = f"{given.redirect_code} is not a valid redirect code, must be one of 301, 302, 303, 307, 308"
        yield Finding(f"{path}.redirectCode", message)
    if given.port is not None:
        yield from names.port_number(f"{path}.port", given.port)


def direct_response(path: str, given: HTTPDirectResponse | None) -> Iterator[Finding]:
    if given is None:
        return
    if not 200 <= given.status <= 599:
        yield Finding(f"{path}.status", f"HTTP status {given.status} is not in range 200-599")
    if given.body is None:
        return
    size = len((given.body.string or "").encode()) + len(given.body.bytes or "") * 3 // 4
    if size > 1 << 20:
        yield Finding(f"{path}.body", "response body size must be less than 1MB")
    elif size > 100 << 10:
        yield warning(f"{path}.body", "large direct_responses may impact control plane performance")
    if given.body.bytes is not None and not _is_base64(given.body.bytes):
        yield Finding(f"{path}.body.bytes", "bytes must be base64", hint="use `string` for text")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def rewrite(path: str, given: HTTPRewrite | None) -> Iterator[Finding]:
    if given is None:
        return
    pattern = given.uri_regex_rewrite
    if not (given.uri or given.authority or pattern):
        yield Finding(path, "rewrite must specify at least one of URI, authority, or URI regex")
    if given.uri and pattern:
        yield Finding(path, "rewrite may only contain one of URI or URI regex")
    if pattern is None:
        return
    if not pattern.match or not pattern.rewrite:
        yield Finding(f"{path}.uriRegexRewrite", "uriRegexRewrite requires both `match` and `rewrite`")
        return
    wrong = list(names.regex(f"{path}.uriRegexRewrite.match", pattern.match))
    yield from wrong
    if not wrong:
        yield from _substitution(f"{path}.uriRegexRewrite.rewrite", pattern.rewrite, names.regex_groups(pattern.match))


def _substitution(path: str, text: str, groups: int) -> Iterator[Finding]:
    """Checks back references (a backslash and a digit) and the like as RE2 does when Envoy loads them."""
    position = 0
    while (position := text.find("\\", position)) >= 0:
        following = text[position + 1 : position + 2]
        if following.isdigit() and following.isascii():
            if int(following) > groups:
                message = f"\\{following} refers to a group that `match` does not have: it has {groups}"
                yield Finding(path, message)
        elif following != "\\":
            yield Finding(path, "a backslash must be followed by a digit or a backslash")
        position += 2


def retries(path: str, given: HTTPRetry | None) -> Iterator[Finding]:
    if given is None:
        return
    if given.attempts < 0:
        yield Finding(f"{path}.attempts", "attempts cannot be negative")
    others = {"per_try_timeout", "retry_on", "retry_remote_localities", "backoff"} & given.model_fields_set
    if given.attempts == 0 and others:
        message = "http retry policy configured when attempts are set to 0 (disabled)"
        yield Finding(path, message, hint="write `attempts` with the number of retries")
    yield from names.duration(f"{path}.perTryTimeout", given.per_try_timeout)
    yield from names.duration(f"{path}.backoff", given.backoff)
    for token in given.retry_on.split(",") if given.retry_on else ():
        if token not in RETRY_ON and not _is_status(token):
            hint = "write no spaces between the conditions" if token.strip() in RETRY_ON else ""
            hint = hint or "use Envoy's retry conditions or HTTP status codes, such as `5xx,reset,503`"
            yield Finding(f"{path}.retryOn", f"{token!r} is not a valid retryOn policy", hint=hint)


def _is_status(text: str) -> bool:
    return text.isascii() and text.isdigit() and 100 <= int(text) <= 599
