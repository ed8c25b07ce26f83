from __future__ import annotations

from typing import Any

import pytest
from tests.support.written import to, virtual_service

from mizzen.resources.loading import load
from mizzen.resources.problems import Problem
from mizzen.resources.validation import unreachable
from mizzen.resources.validation.coverage import covers_requests


def found(**spec: Any) -> list[Problem]:
    hosts = ["a.example.com", "b.example.com", "*.example.com"]
    loaded = load(
        virtual_service("a", hosts=hosts[:2] if "tls" not in spec else hosts[2:], **{"http": [], **spec}), "f"
    )
    return [one for one in loaded.problems if one.code in {"IST0130", "IST0131"}]


def in_vain(kind: str, first: list[dict[str, Any]], second: list[dict[str, Any]], gateways: tuple[str, ...]) -> bool:
    routes = [to("a", match=match) if match else to("a") for match in (first, second)]
    return any(one.in_vain for one in found(**{kind: routes}, gateways=list(gateways)))


COVERED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"uri": {"prefix": "/"}}, {}),
    ({"uri": {"regex": ".*"}}, {"uri": {"exact": "/a"}}),
    ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a/b"}}),
    ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}, "method": {"exact": "GET"}}),
    ({"uri": {"prefix": "/A"}, "ignoreUriCase": True}, {"uri": {"exact": "/a/b"}}),
    ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}, "headers": {"x-a": {"exact": "1"}}}),
    ({"uri": {"regex": "/a.+"}}, {"uri": {"regex": "/a.+"}, "port": 80}),
    ({"method": {"exact": "GET"}}, {"method": {"exact": "GET"}, "uri": {"prefix": "/b"}}),
    ({"headers": {"x-a": {}}}, {"headers": {"x-a": {"regex": "1+"}}}),
    ({"headers": {"x-a": {"prefix": "1"}}}, {"headers": {"x-a": {"exact": "12"}, "x-b": {}}}),
    ({"queryParams": {"a": {"exact": "1"}}}, {"queryParams": {"a": {"exact": "1"}, "b": {"exact": "2"}}}),
    ({"withoutHeaders": {"x-a": {}}}, {"withoutHeaders": {"x-a": {}, "x-b": {}}}),
    ({"port": 80}, {"port": 80, "uri": {"exact": "/a"}}),
    ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "1", "b": "2"}}),
    ({"sourceNamespace": "a"}, {"sourceNamespace": "a", "sourceLabels": {"b": "2"}}),
    ({"gateways": ["mesh"], "sourceNamespace": "elsewhere"}, {"sourceNamespace": "a", "gateways": ["mesh"]}),
    ({"gateways": ["mesh", "edge"]}, {"uri": {"exact": "/a"}, "gateways": ["edge"]}),
    (
        {"scheme": {"exact": "https"}, "authority": {"prefix": "a"}},
        {"scheme": {"exact": "https"}, "authority": {"exact": "ab"}},
    ),
]
APART: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}}),
    ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}),
    ({"uri": {"prefix": "/a"}}, {}),
    ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}, "ignoreUriCase": True}),
    ({"uri": {"prefix": "/A"}}, {"uri": {"exact": "/a"}}),
    ({"uri": {"regex": "/.*"}}, {"uri": {"exact": "/a"}}),
    ({"uri": {"prefix": "/a"}}, {"uri": {"regex": "/a.*"}}),
    ({"uri": {"prefix": "/a"}, "method": {"exact": "GET"}}, {"uri": {"prefix": "/a/b"}}),
    ({"uri": {"prefix": "/a"}, "method": {"exact": "GET"}}, {"uri": {"prefix": "/a"}, "method": {"exact": "PUT"}}),
    ({"headers": {"x-a": {"exact": "1"}}}, {"headers": {"x-a": {}}}),
    ({"headers": {"x-a": {}}}, {"headers": {"x-b": {}}}),
    ({"queryParams": {"a": {"exact": "1"}}}, {"uri": {"exact": "/a"}}),
    ({"withoutHeaders": {"x-a": {}}}, {"withoutHeaders": {"x-b": {}}}),
    ({"withoutHeaders": {"x-a": {"exact": "1"}}}, {"withoutHeaders": {"x-a": {"exact": "2"}}}),
    ({"port": 80}, {"port": 81}),
    ({"port": 80}, {"uri": {"exact": "/a"}}),
    ({"sourceLabels": {"a": "1", "b": "2"}}, {"sourceLabels": {"a": "1"}}),
    ({"sourceNamespace": "a"}, {"sourceNamespace": "b"}),
    # Naming gateways turns the conditions on the source off.
    ({"sourceNamespace": "a"}, {"sourceNamespace": "a", "gateways": ["mesh"]}),
    ({"gateways": ["edge"]}, {"uri": {"exact": "/a"}}),
    ({"gateways": ["edge"]}, {"gateways": ["mesh"]}),
]
IN_FULL = [pytest.param(wide, narrow, True) for wide, narrow in COVERED]
NOT_ALL = [pytest.param(wide, narrow, False) for wide, narrow in APART]


@pytest.mark.parametrize(("wide", "narrow", "expected"), IN_FULL + NOT_ALL)
def test_a_route_is_of_no_use_if_earlier_ones_take_all_of_its_requests(
    wide: dict[str, Any], narrow: dict[str, Any], expected: bool
) -> None:
    assert in_vain("http", [wide], [narrow], ("mesh", "edge")) == expected


def test_a_route_with_something_of_its_own_is_of_use() -> None:
    taken, own = {"uri": {"prefix": "/a/b"}}, {"uri": {"exact": "/own"}}
    problems = found(http=[to("a", match=[{"uri": {"prefix": "/a"}}]), to("a", match=[taken, own])])
    assert [(one.code, one.path, one.in_vain) for one in problems] == [("IST0131", "spec.http[1].match[0]", False)]


def test_several_earlier_routes_may_cover_one() -> None:
    one, other = ({"uri": {"prefix": path}} for path in ("/a", "/b"))
    narrow = [{"uri": {"exact": "/a/x"}}, {"uri": {"exact": "/b/x"}}]
    problems = found(http=[to("a", match=[one]), to("b", match=[other]), to("c", match=narrow)])
    assert [(problem.code, problem.path, problem.in_vain) for problem in problems] == [
        ("IST0131", "spec.http[2].match[0]", True),
        ("IST0131", "spec.http[2].match[1]", True),
    ]


def test_both_lines_are_said() -> None:
    narrow = {"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "1"}}}
    (problem,) = found(http=[to("a", match=[{"headers": {"x": {"prefix": "1"}}}]), to("b", match=[narrow])])
    assert problem.message == (
        "VirtualService rule is never used: http[0] before it takes all of its requests; see f:12:5"
    )
    assert str(problem.position) == "f:19:5"


def test_a_route_that_delegates_may_take_less_than_its_match() -> None:
    delegating = {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "b"}}
    assert found(http=[delegating, to("a", match=[{"uri": {"prefix": "/a"}}])]) == []


ANYWHERE: dict[str, Any] = {}
CONNECTIONS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    (ANYWHERE, {"port": 80}, True),
    ({"port": 80}, {"port": 80, "sourceNamespace": "a"}, True),
    ({"port": 80}, {"port": 81}, False),
    ({"port": 80}, ANYWHERE, False),
    ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "1", "b": "2"}}, True),
    ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "2"}}, False),
    ({"sourceNamespace": "a"}, {"sourceNamespace": "b"}, False),
    ({"destinationSubnets": ["10.0.0.0/8"]}, {"destinationSubnets": ["10.1.0.0/16", "10.2.0.1"]}, True),
    ({"destinationSubnets": ["10.1.0.0/16"]}, {"destinationSubnets": ["10.0.0.0/8"]}, False),
    ({"destinationSubnets": ["10.0.0.0/8"]}, {"destinationSubnets": ["10.1.0.0/16", "fd00::/8"]}, False),
    ({"destinationSubnets": ["10.0.0.0/8"]}, ANYWHERE, False),
    ({"gateways": ["edge", "mesh"]}, {"port": 80}, True),
    ({"gateways": ["edge"]}, {"port": 80}, False),
    # Here, unlike with requests, the conditions on the source count beside gateways.
    ({"sourceNamespace": "a", "gateways": ["mesh"]}, {"gateways": ["mesh"]}, False),
]


@pytest.mark.parametrize(("wide", "narrow", "expected"), CONNECTIONS)
def test_a_route_is_of_no_use_if_earlier_ones_take_all_of_its_connections(
    wide: dict[str, Any], narrow: dict[str, Any], expected: bool
) -> None:
    assert in_vain("tcp", [wide], [narrow], ("mesh", "edge")) == expected
    same, other = {"sniHosts": ["a.example.com"]}, {"sniHosts": ["b.example.com"]}
    assert in_vain("tls", [wide | same], [narrow | same], ("mesh", "edge")) == expected
    assert not in_vain("tls", [wide | same], [narrow | other], ("mesh", "edge"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (["a.example.com"], ["A.example.com"], True),
        (["a.example.com"], ["a.example.com."], True),
        (["a.example.com", "b.example.com"], ["b.example.com"], True),
        (["b.example.com"], ["a.example.com", "b.example.com"], False),
        # The most specific name counts, not the first.
        (["*.example.com"], ["a.example.com"], False),
    ],
)
def test_server_names_are_each_by_themselves(first: list[str], second: list[str], expected: bool) -> None:
    assert in_vain("tls", [{"sniHosts": first}], [{"sniHosts": second}], ()) == expected


def test_names_may_be_taken_by_several_routes() -> None:
    routes = [to("a", match=[{"sniHosts": names}]) for names in (["a.example.com"], ["b.example.com"])]
    both = to("c", match=[{"sniHosts": ["a.example.com", "b.example.com"]}])
    (problem,) = found(tls=[*routes, both])
    assert (problem.code, problem.path, problem.in_vain) == ("IST0130", "spec.tls[2]", True)
    assert problem.message.startswith(
        "VirtualService rule is never used: tls[0] before it takes all of its connections"
    )


def test_routes_by_a_header_are_compared_with_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with each would be seconds for a thousand of them."""
    compared = 0

    def counted(*given: Any) -> bool:
        nonlocal compared
        compared += 1
        return covers_requests(*given)

    monkeypatch.setattr(unreachable, "covers_requests", counted)
    by_header = [[{"headers": {"x-user": {"exact": str(number)}}}] for number in range(100)]
    by_path = [[{"uri": {"prefix": f"/{number}/"}, "method": {"exact": "GET"}}] for number in range(100)]
    assert found(http=[to("a", match=match) for match in [*by_header, *by_path]]) == []
    assert compared < 200
