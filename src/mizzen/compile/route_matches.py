"""Route matches: which requests a rule of a VirtualService is about (HTTPMatchRequest, Istio 1.1)."""

from __future__ import annotations

from mizzen.resources.model import StringMatch
from mizzen.resources.virtual_service import HTTPMatchRequest
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    RouteMatch,
)
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher


def build_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """Builds Envoy's match; None, and a match that says nothing, is every request."""
    built = RouteMatch(prefix="/")
    if match is None:
        return built
    _set_path(built, match)
    # Mappings are read in the order of their keys: the order in which they are written is no part of a resource.
    for name, value in sorted(match.headers.items()):
        built.headers.append(_header(name.lower(), value))
    for name, value in sorted(match.without_headers.items()):
        header = _header(name.lower(), value)
        header.invert_match = True
        # A missing header counts as empty, unless the question is whether the header is there (Istio 1.1).
        header.treat_missing_header_as_empty = not header.HasField("present_match")
        built.headers.append(header)
    pseudo_headers = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    built.headers.extend(_header(name, value) for name, value in pseudo_headers if value is not None)
    built.query_parameters.extend(_query_parameter(name, value) for name, value in sorted(match.query_params.items()))
    return built


def is_catch_all(match: RouteMatch) -> bool:
    """Tells whether every request matches, so that no later route of the VirtualService can be reached."""
    every_path = match.prefix == "/" or match.safe_regex.regex == ".*"
    return every_path and not match.headers and not match.query_parameters


def described_path(match: RouteMatch) -> str:
    """Returns the path of a match as people write it, for the name of a span."""
    return match.path or match.safe_regex.regex or f"{match.prefix}*"


def _set_path(built: RouteMatch, match: HTTPMatchRequest) -> None:
    uri = match.uri
    if uri is None:
        return
    if uri.exact is not None:
        built.path = uri.exact
    elif uri.prefix is not None:
        built.prefix = uri.prefix
    elif uri.regex is not None:
        built.safe_regex.regex = uri.regex
    if match.ignore_uri_case:
        built.case_sensitive.value = False


def _header(name: str, value: StringMatch) -> HeaderMatcher:
    matcher = string_matcher(value)
    if matcher is None:
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=matcher)


def _query_parameter(name: str, value: StringMatch) -> QueryParameterMatcher:
    matcher = string_matcher(value)
    if matcher is None:
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=matcher)


def string_matcher(value: StringMatch) -> StringMatcher | None:
    """Returns how Envoy compares a value; None means that it only has to be there."""
    if value.exact is not None:
        return StringMatcher(exact=value.exact)
    if value.prefix is not None:
        return StringMatcher(prefix=value.prefix)
    if value.regex is None or value.regex == "*":
        return None
    matcher = StringMatcher()
    matcher.safe_regex.regex = value.regex
    return matcher
