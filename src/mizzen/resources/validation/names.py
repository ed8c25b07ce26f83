"""Names and values that several kinds share: DNS names, labels, headers, regular expressions, ports, durations.

Each function yields what is wrong with one value, in Istio's words (``pkg/config/validation/agent``) or Kubernetes'
(``apimachinery/pkg/util/validation``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import re2  # type: ignore[import-untyped]

from mizzen.resources.findings import Finding
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join

# Kubernetes' names are lower case; the parts of a host may have capitals, as in Istio.
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_HOST_LABEL = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_WILDCARD_LABEL = re.compile(r"\*|(?:\*|\*-)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HEADER = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"(?:[^%]|%%|%[A-Za-z0-9_]+(?:\([^%]*\))?(?::\d+)?%)*", re.DOTALL)
_SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")

_LONGEST_REGEX = 1024


def is_dns_label(text: str) -> bool:
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))


def is_service_name(text: str) -> bool:
    """Says whether a port's name is one of RFC 6335, as Kubernetes wants it: at most 15 of a-z, 0-9 and -."""
    fits = len(text) <= 15 and "--" not in text and _SERVICE_NAME.fullmatch(text) is not None
    return fits and any(character.isalpha() for character in text)


def resource_name(path: str, name: str, *, label: bool) -> Iterator[Finding]:
    """Checks the name of a resource: a DNS label where it becomes part of a host name, else a DNS subdomain."""
    if label and not is_dns_label(name):
        hint = "use at most 63 of a-z, 0-9 and -, with a letter or digit first and last"
        yield Finding(path, f"{name!r} is not a valid name (DNS-1123 label)", hint=hint, code="InvalidName")
    elif not label and not is_dns_subdomain(name):
        hint = "use a-z, 0-9, - and ., with a letter or digit first and last"
        yield Finding(path, f"{name!r} is not a valid name (DNS-1123 subdomain)", hint=hint, code="InvalidName")


def domain(path: str, host: str) -> Iterator[Finding]:
    """Checks a host that may begin with a wildcard."""
    bare = host.removesuffix(".")
    labels = bare.split(".")
    if not bare:
        yield Finding(path, "empty domain name not allowed")
    elif len(bare) > 255:
        yield Finding(path, f"domain name {host!r} invalid: it is too long (at most 255 characters)")
    elif not _WILDCARD_LABEL.fullmatch(labels[0]) or len(labels[0]) > 63:
        yield Finding(path, f"domain name {host!r} invalid (label {labels[0]!r} invalid)")
    elif wrong := [label for label in labels[1:] if not _HOST_LABEL.fullmatch(label) or len(label) > 63]:
        hint = "a wildcard * can only stand at the very beginning" if "*" in wrong[0] else ""
        yield Finding(path, f"domain name {host!r} invalid (label {wrong[0]!r} invalid)", hint=hint)
    elif labels[-1].isdigit() and not is_ip_address(host):
        message = f"domain name {host!r} invalid (top level domain {labels[-1]!r} cannot be all-numeric)"
        yield Finding(path, message)


def host_or_address(path: str, host: str) -> Iterator[Finding]:
    if not is_ip_address(host):
        yield from domain(path, host)


def port_number(path: str, number: int) -> Iterator[Finding]:
    if not 1 <= number <= 65535:
        yield Finding(path, f"port number {number} must be in the range 1..65535")


def duration(path: str, seconds: float | None, *, zero: bool = False) -> Iterator[Finding]:
    """Checks a duration in Istio's precision; ``zero`` says that 0 means something (mostly: no limit)."""
    if seconds is None or (zero and seconds == 0):
        return
    if seconds < 0.001:
        yield Finding(path, "duration must be greater than 1ms", hint="remove the field for no limit")
    elif round(seconds * 10**9) % 10**6:
        yield Finding(path, "only durations to ms precision are supported")


def labels(path: str, given: Mapping[str, str]) -> Iterator[Finding]:
    """Checks labels, or a selector of labels, by Kubernetes' syntax."""
    for key, value in given.items():
        yield from label_key(join(path, key), key)
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            hint = "use at most 63 letters, digits, -, _ and ., with a letter or digit first and last"
            yield Finding(join(path, key), f"{value!r} is not a valid label value", hint=hint)


def selector(path: str, given: Mapping[str, str]) -> Iterator[Finding]:
    """Checks the labels by which workloads are selected, which stand at ``path``."""
    for key, value in given.items():
        if not key:
            yield Finding(join(path, key), "empty key is not supported in selector")
        elif "*" in key or "*" in value:
            yield Finding(join(path, key), "wildcard is not supported in selector")
        else:
            yield from labels(path, {key: value})


def label_key(path: str, key: str) -> Iterator[Finding]:
    prefix, slash, name = key.rpartition("/")
    valid_prefix = not slash or is_dns_subdomain(prefix)
    if not valid_prefix or len(name) > 63 or not _QUALIFIED_NAME.fullmatch(name):
        yield Finding(path, f"{key!r} is not a valid key", hint="write `name` or `example.com/name`")


def header_name(path: str, name: str) -> Iterator[Finding]:
    if not name:
        yield Finding(path, "header name cannot be empty")
    elif not _HEADER.fullmatch(name):
        yield Finding(path, f"header name {name!r} is not a valid header name")


def header_value(path: str, value: str) -> Iterator[Finding]:
    """Checks that Envoy can read a value to set: a percent sign begins a command operator unless it is doubled."""
    if not _HEADER_VALUE.fullmatch(value):
        hint = "write a literal percent sign twice: %%"
        yield Finding(path, f"header value configuration {value!r} is invalid", hint=hint)


def regex(path: str, pattern: str) -> Iterator[Finding]:
    if not pattern:
        yield Finding(path, "regex string match should not be empty")
    elif len(pattern) > _LONGEST_REGEX:
        yield Finding(path, f"regex is too large, max length allowed is {_LONGEST_REGEX}")
    elif why := _regex_error(pattern):
        message = (
            f"invalid regex: {why}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)"
        )
        hint = "RE2 has no lookahead, lookbehind or backreferences" if "(?" in pattern or "\\" in pattern else ""
        yield Finding(path, message, hint=hint)


def regex_groups(pattern: str) -> int:
    """Returns how many capturing groups a valid pattern has."""
    return cast("int", re2.compile(pattern, _options()).groups)


def _regex_error(pattern: str) -> str:
    try:
        re2.compile(pattern, _options())
    except re2.error as error:
        why = error.args[0] if error.args else error
        return why.decode(errors="replace") if isinstance(why, bytes) else str(why)
    except UnicodeEncodeError:
        return "it contains characters that are not Unicode"
    return ""


def _options() -> Any:
    options = re2.Options()
    # Otherwise the library writes its own line to standard error.
    options.log_errors = False
    return options


def export_to(path: str, namespaces: Sequence[str], own: str) -> Iterator[Finding]:
    """Checks who may see a resource: ``*``, ``.``, ``~`` or names of namespaces."""
    for index, namespace in enumerate(namespaces):
        if namespace not in {"*", ".", "~"} and not is_dns_label(namespace):
            hint = "write `*` for all namespaces, `.` for its own, `~` for none, or a namespace"
            yield Finding(join(path, index), f"invalid namespace {namespace!r} in exportTo", hint=hint)
    seen = Counter(own if namespace == "." else namespace for namespace in namespaces)
    for namespace in (namespace for namespace, times in seen.items() if times > 1):
        yield Finding(path, f"duplicate entries in exportTo: {namespace}")
    if "*" in namespaces and len(set(namespaces)) > 1:
        yield Finding(path, "cannot have both public (*) and non-public exportTo values for a resource")
    elif "~" in namespaces and len(set(namespaces)) > 1:
        yield Finding(path, "cannot export to no one (~) and someone")
