from __future__ import annotations

from typing import Any

import pytest

from mizzen.compile.route_matches import build_match, described_path, is_catch_all
from mizzen.resources.virtual_service import HTTPMatchRequest
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RouteMatch


def match(**fields: Any) -> RouteMatch:
    return build_match(HTTPMatchRequest.model_validate(fields))


def header(**fields: Any) -> HeaderMatcher:
    (only,) = match(**fields).headers
    return only


@pytest.mark.trap(6)
@pytest.mark.parametrize(
    ("fields", "catches_all"),
    [
        ({}, True),
        ({"uri": {"prefix": "/"}}, True),
        ({"uri": {"regex": ".*"}}, True),
        ({"uri": {"prefix": "/a"}}, False),
        ({"uri": {"exact": "/"}}, False),
        ({"uri": {"regex": "/.*"}}, False),
        ({"headers": {"a": {}}}, False),
        ({"withoutHeaders": {"a": {}}}, False),
        ({"queryParams": {"a": {}}}, False),
        ({"method": {"exact": "GET"}}, False),
        ({"uri": {"regex": ".*"}, "authority": {"exact": "a"}}, False),
        ({"port": 80, "sourceNamespace": "a", "sourceLabels": {"a": "b"}}, True),
    ],
)
def test_what_catches_every_request(fields: dict[str, Any], catches_all: bool) -> None:
    assert is_catch_all(match(**fields)) == catches_all


def test_no_match_is_every_request() -> None:
    assert is_catch_all(build_match(None))


def test_paths() -> None:
    assert match(uri={"exact": "/a"}).path == "/a"
    assert match(uri={"prefix": "/a"}).prefix == "/a"
    assert match(uri={"regex": "/a+"}).safe_regex.regex == "/a+"
    assert match(method={"exact": "GET"}).prefix == "/"
    assert not match(uri={"exact": "/a"}).HasField("case_sensitive")
    assert match(uri={"exact": "/a"}, ignoreUriCase=True).case_sensitive.value is False


@pytest.mark.parametrize("value", [{}, {"regex": "*"}])
def test_presence(value: dict[str, str]) -> None:
    assert header(headers={"A": value}).present_match
    assert match(queryParams={"a": value}).query_parameters[0].present_match
    absent = header(withoutHeaders={"a": value})
    assert absent.present_match
    assert absent.invert_match
    assert not absent.treat_missing_header_as_empty


def test_a_missing_header_counts_as_empty_when_a_value_is_excluded() -> None:
    excluded = header(withoutHeaders={"a": {"exact": "b"}})
    assert (excluded.string_match.exact, excluded.invert_match, excluded.treat_missing_header_as_empty) == (
        "b",
        True,
        True,
    )


def test_header_values_and_names() -> None:
    assert header(headers={"End-User": {"exact": "jason"}}).name == "end-user"
    assert header(headers={"a": {"prefix": "b"}}).string_match.prefix == "b"
    assert header(headers={"a": {"regex": "b+"}}).string_match.safe_regex.regex == "b+"
    empty = header(headers={"a": {"exact": ""}})
    assert empty.HasField("string_match")
    assert empty.string_match.exact == ""


def test_pseudo_headers() -> None:
    built = match(scheme={"exact": "http"}, method={"exact": "GET"}, authority={"prefix": "a"})
    assert [one.name for one in built.headers] == [":method", ":authority", ":scheme"]


def test_the_order_of_mappings_does_not_count() -> None:
    fields = {name: {"exact": name} for name in "abc"}
    backwards = dict(reversed(fields.items()))
    for kind in ("headers", "withoutHeaders", "queryParams"):
        assert match(**{kind: fields}) == match(**{kind: backwards})


@pytest.mark.parametrize(
    ("fields", "text"), [({}, "/*"), ({"uri": {"exact": "/a"}}, "/a"), ({"uri": {"regex": "/a+"}}, "/a+")]
)
def test_described(fields: dict[str, Any], text: str) -> None:
    assert described_path(match(**fields)) == text
