"""What a RateLimit may say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.written import rate_limit

from mizzen.resources.loading import load

LIMIT = {"name": "all", "requests": 5, "unit": "SECOND"}
ENTRY = {"key": "user", "header": "x-user"}
ASKED = {"server": {"host": "limiter", "port": 9000}, "domain": "shop", "descriptors": [{"entries": [ENTRY]}]}


def said(**spec: Any) -> list[str]:
    return [f"{one.path}: {one.message}" for one in load(rate_limit("a", **spec), "f").problems]


def test_what_is_right() -> None:
    assert said(limits=[LIMIT], selector={"matchLabels": {"app": "a"}}, status=503, enforced={"value": 0}) == []
    assert said(**{"global": ASKED}) == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"name": ""}, "spec.limits[0].name: a limit needs a name, of letters, digits and dashes; it has ''"),
        ({"requests": 0}, "spec.limits[0].requests: requests must be in range 1..4294967295"),
        ({"burst": 0}, "spec.limits[0].burst: burst must be in range 1..4294967295"),
        (
            {"per": [{}]},
            "spec.limits[0].per[0]: says no value: write `header`, `queryParameter` or `clientAddress: true`",
        ),
        ({"match": {"route": "one"}}, "spec.limits[0].match.route: 'one' names no route"),
        (
            {"match": {"uri": {"prefix": ""}}},
            "spec.limits[0].match.uri.prefix: prefix string match should not be empty",
        ),
    ],
)
def test_what_is_wrong_with_a_limit(limit: dict[str, Any], expected: str) -> None:
    assert said(limits=[LIMIT | limit]) == [expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"new": 5, "unit": "SECOND", "burst": 9, "open": 2}, []),
        ({"open": 2}, []),
        ({}, ["spec.connections: no connections are limited"]),
        ({"new": 5}, ["spec.connections.unit: a limit needs a unit of time"]),
        ({"open": 0}, ["spec.connections.open: open must be in range 1..4294967295"]),
        ({"open": 2, "burst": 3}, ["spec.connections.burst: burst is for `new` connections"]),
        ({"open": 2, "unit": "DAY"}, ["spec.connections.unit: unit is for `new` connections"]),
    ],
)
def test_what_is_said_of_connections(given: dict[str, Any], expected: list[str]) -> None:
    assert said(connections=given) == expected


def test_a_limit_needs_a_unit_and_a_name_of_its_own() -> None:
    unitless = {"name": "all", "requests": 5}
    assert said(limits=[unitless]) == ["spec.limits[0].unit: a limit needs a unit of time"]
    assert said(limits=[LIMIT, LIMIT]) == ["spec.limits[1].name: there are two limits with the name 'all'"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec: nothing is limited"),
        ({"limits": [LIMIT], "selector": {}}, "spec.selector: the selector has no `matchLabels`"),
        ({"limits": [LIMIT], "status": 200}, "spec.status: status 200 is no answer to a refused request"),
        ({"limits": [LIMIT], "enforced": {"value": 101}}, "spec.enforced.value: percentage 101 is not in range 0..100"),
    ],
)
def test_what_is_wrong_with_the_whole(spec: dict[str, Any], expected: str) -> None:
    assert said(**spec) == [expected.replace("101 is", "101.0 is")]


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        ({"server": {}}, "server: nobody is asked: write `host` and `port` of a rate limit service"),
        ({"server": {"host": "a", "port": 0}}, "server.port: port number 0 must be in the range 1..65535"),
        ({"domain": ""}, "domain: domain must be set: by it the server tells its clients apart"),
        ({"timeout": "0s"}, "timeout: timeout must be longer than 0"),
        ({"descriptors": []}, "descriptors: the server is asked about nothing: write at least one descriptor"),
        ({"descriptors": [{}]}, "descriptors[0].entries: a descriptor needs at least one entry"),
        (
            {"descriptors": [{"entries": [{"value": "a"}]}]},
            "descriptors[0].entries[0].key: an entry needs a key",
        ),
        (
            {"descriptors": [{"match": {"uri": {"exact": "/a"}}, "entries": [ENTRY]}]},
            "descriptors[0].entries: the match needs 1 entries with a written `value`, which tell the server that it fits",
        ),
    ],
)
def test_what_is_wrong_with_a_server_that_counts(shared: dict[str, Any], expected: str) -> None:
    assert said(**{"global": ASKED | shared}) == [f"spec.global.{expected}"]
