"""Istio's rules for putting a delegate's routes in the place of the one that delegates."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.resources.delegates import in_full, merged
from mizzen.resources.virtual_service import HTTPRoute


def route(*match: dict[str, Any], **fields: Any) -> HTTPRoute:
    return HTTPRoute.model_validate({"match": list(match), **fields})


def matches(root: list[dict[str, Any]], delegate: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    found = merged(route(*root), route(*delegate))
    if found is None:
        return None
    return [
        match.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True) for match in found.match
    ]


A, B, AB = {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}, {"uri": {"prefix": "/a/b"}}


@pytest.mark.trap(8)
@pytest.mark.parametrize(
    ("root", "delegate", "expected"),
    [
        ([], [], []),
        ([A], [], [A]),
        ([], [A], [A]),
        ([A], [AB], [AB]),
        ([A], [{"uri": {"exact": "/a"}}], [{"uri": {"exact": "/a"}}]),
        ([A, {"port": 80}], [AB], [AB, {**AB, "port": 80}]),
        ([A], [{"method": {"exact": "GET"}}], [{**A, "method": {"exact": "GET"}}]),
        ([A], [AB, {"headers": {"x": {"exact": "1"}}}], [AB, {**A, "headers": {"x": {"exact": "1"}}}]),
        (
            [{"headers": {"x": {"exact": "1"}}, "withoutHeaders": {"z": {}}}],
            [{"headers": {"y": {}}, "queryParams": {"q": {"exact": "2"}}}],
            [
                {
                    "headers": {"x": {"exact": "1"}, "y": {}},
                    "withoutHeaders": {"z": {}},
                    "queryParams": {"q": {"exact": "2"}},
                }
            ],
        ),
        (
            [{"sourceLabels": {"a": "1"}, "sourceNamespace": "n"}],
            [{"sourceLabels": {"b": "2"}, "sourceNamespace": "n"}],
            [{"sourceLabels": {"a": "1", "b": "2"}, "sourceNamespace": "n"}],
        ),
        ([{"name": "root", **A}], [{"name": "own", **AB}], [{"name": "root-own", **AB}]),
        ([{"gateways": ["mesh"]}], [A], [{**A, "gateways": ["mesh"]}]),
    ],
)
def test_matches_are_joined(
    root: list[dict[str, Any]], delegate: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    assert matches(root, delegate) == expected


@pytest.mark.trap(8)
@pytest.mark.parametrize(
    ("root", "delegate"),
    [
        (A, B),
        (AB, A),
        ({"uri": {"exact": "/a"}}, A),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}),
        (A, {"uri": {"exact": "/b"}}),
        ({"uri": {"regex": "/a.*"}}, AB),
        (A, {"uri": {"regex": "/a/.*"}}),
        (A, {**AB, "ignoreUriCase": True}),
        ({"port": 80}, {"port": 81}),
        ({"sourceNamespace": "a"}, {"sourceNamespace": "b"}),
        ({"sourceNamespace": "a"}, A),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "2"}}),
        ({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}}),
        ({"headers": {"x": {}}}, {"headers": {"x": {"exact": "2"}}}),
        ({"withoutHeaders": {"x": {"exact": "1"}}}, {"withoutHeaders": {"x": {"exact": "2"}}}),
        ({"queryParams": {"x": {"exact": "1"}}}, {"queryParams": {"x": {"exact": "2"}}}),
        ({"method": {"exact": "GET"}}, {"method": {"exact": "PUT"}}),
        ({"gateways": ["a"]}, {"gateways": ["b"]}),
    ],
)
def test_matches_that_do_not_fit(root: dict[str, Any], delegate: dict[str, Any]) -> None:
    assert matches([root], [delegate]) is None


@pytest.mark.trap(8)
def test_one_match_that_fits_none_takes_the_whole_route_away() -> None:
    assert matches([A], [AB, B]) is None


ACTIONS: dict[str, tuple[Any, Any]] = {
    "rewrite": ({"uri": "/root"}, {"uri": "/own"}),
    "directResponse": ({"status": 500}, {"status": 501}),
    "timeout": ("1s", "2s"),
    "retries": ({"attempts": 1}, {"attempts": 2}),
    "fault": ({"abort": {"httpStatus": 500}}, {"abort": {"httpStatus": 501}}),
    "mirror": ({"host": "root"}, {"host": "own"}),
    "mirrors": ([{"destination": {"host": "root"}}], [{"destination": {"host": "own"}}]),
    "mirrorPercentage": ({"value": 1.0}, {"value": 2.0}),
    "mirrorPercent": (1, 2),
    "corsPolicy": ({"allowMethods": ["GET"]}, {"allowMethods": ["PUT"]}),
    "headers": ({"request": {"set": {"a": "1"}}}, {"request": {"set": {"b": "1"}}}),
}


@pytest.mark.trap(8)
@pytest.mark.parametrize("name", ACTIONS)
def test_what_a_route_does_is_the_delegates_word_as_a_whole_or_the_roots(name: str) -> None:
    root, own = (route(**{name: value}) for value in ACTIONS[name])
    assert merged(root, own) == own
    assert merged(root, route()) == root
    assert merged(route(), own) == own


@pytest.mark.parametrize(("root", "own", "name"), [("a", "b", "a-b"), ("a", "", "a"), ("", "b", "b"), ("", "", "")])
def test_names_are_joined(root: str, own: str, name: str) -> None:
    found = merged(route(name=root), route(name=own))
    assert found is not None
    assert found.name == name


def test_destinations_are_those_of_the_delegates_namespace() -> None:
    written = route(
        route=[{"destination": {"host": "a", "subset": "v1"}}, {"destination": {"host": "b.c"}}],
        mirror={"host": "m"},
        mirrors=[{"destination": {"host": "n"}}],
    )
    found = in_full(written, "other")
    assert [one.destination.host for one in found.route if one.destination] == ["a.other.svc.cluster.local", "b.c"]
    assert found.mirror is not None
    assert found.mirror.host == "m.other.svc.cluster.local"
    assert [one.destination.host for one in found.mirrors if one.destination] == ["n.other.svc.cluster.local"]
