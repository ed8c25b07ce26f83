from __future__ import annotations

from typing import Any

import pytest

from mizzen.compile.route_actions import apply_action, timeouts
from mizzen.resources.virtual_service import Destination, HTTPRoute
from mizzen.stubs.envoy.config.core.v3.base_pb2 import HeaderValueOption
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, RouteAction


def cluster_of(destination: Destination | None) -> str:
    assert destination is not None
    return f"{destination.host}|{destination.subset}"


def route(port: int = 9080, **rule: Any) -> Route:
    made = Route()
    apply_action(made, HTTPRoute.model_validate(rule), cluster_of, port)
    return made


def one(**destination: Any) -> dict[str, Any]:
    return {"destination": {"host": "a"}, **destination}


def headers(options: Any) -> list[tuple[str, str, bool]]:
    adds = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
    return [(option.header.key, option.header.value, option.append_action == adds) for option in options]


# --- timeouts


@pytest.mark.trap(15)
def test_the_timeout_is_always_explicit() -> None:
    action = route(route=[one()]).route
    assert action.HasField("timeout")
    assert action.timeout.ToMilliseconds() == 0


def test_a_timeout_is_not_switched_off_by_a_stream_duration() -> None:
    action = route(route=[one()], timeout=1.5).route
    assert action.timeout.ToMilliseconds() == 1500
    # Envoy ignores the timeout of a route that has one.
    assert not action.HasField("max_stream_duration")


def test_without_a_timeout_the_clients_grpc_timeout_counts() -> None:
    action = RouteAction()
    timeouts(action, None)
    assert action.max_stream_duration.HasField("grpc_timeout_header_max")
    assert action.max_stream_duration.grpc_timeout_header_max.ToMilliseconds() == 0


def test_grpcs_own_client_looks_at_the_stream_duration_alone() -> None:
    action = RouteAction()
    timeouts(action, 2.0, proxyless=True)
    assert action.max_stream_duration.max_stream_duration.ToMilliseconds() == 2000


# --- destinations


def test_a_single_destination_needs_no_weight() -> None:
    assert route(route=[one(weight=0)]).route.cluster == "a|"
    assert route(route=[one(weight=100)]).route.cluster == "a|"


def test_destinations_without_weight_are_left_out() -> None:
    made = route(route=[one(weight=0), {"destination": {"host": "b"}, "weight": 3}, one(weight=1)])
    assert [(one.name, one.weight.value) for one in made.route.weighted_clusters.clusters] == [("b|", 3), ("a|", 1)]


def test_the_headers_of_a_destination_that_has_all_the_weight_are_kept() -> None:
    added = {"request": {"add": {"x": "1"}, "set": {"host": "h"}}}
    made = route(route=[one(weight=100, headers=added), one(weight=0)])
    (only,) = made.route.weighted_clusters.clusters
    assert headers(only.request_headers_to_add) == [("x", "1", True)]
    assert only.host_rewrite_literal == "h"


# --- headers


def test_header_operations_in_order() -> None:
    made = route(
        route=[one(headers={"request": {"set": {"d": "4"}, "remove": ["r2"]}, "response": {"remove": ["s2"]}})],
        headers={
            "request": {"set": {"b": "2", "a": "1"}, "add": {"c": "3"}, "remove": ["r1"]},
            "response": {"set": {"e": "5"}, "add": {"f": "6"}, "remove": ["s1"]},
        },
    )
    assert headers(made.request_headers_to_add) == [
        ("a", "1", False),
        ("b", "2", False),
        ("c", "3", True),
        ("d", "4", False),
    ]
    assert headers(made.response_headers_to_add) == [("e", "5", False), ("f", "6", True)]
    assert list(made.request_headers_to_remove) == ["r1", "r2"]
    assert list(made.response_headers_to_remove) == ["s1", "s2"]


@pytest.mark.parametrize("name", ["host", "Host", ":authority"])
@pytest.mark.parametrize("operation", ["set", "add"])
def test_setting_the_host_is_a_rewrite(name: str, operation: str) -> None:
    made = route(route=[one()], headers={"request": {operation: {name: "b", "x": "y"}}})
    assert made.route.host_rewrite_literal == "b"
    assert headers(made.request_headers_to_add) == [("x", "y", operation == "add")]


def test_the_hosts_of_a_rewrite_a_route_and_a_destination_in_this_order() -> None:
    request = {"request": {"set": {"host": "destination"}}}
    own = {"request": {"set": {"host": "route"}}}
    assert route(route=[one(headers=request)]).route.host_rewrite_literal == "destination"
    assert route(route=[one(headers=request)], headers=own).route.host_rewrite_literal == "route"
    made = route(route=[one(headers=request)], headers=own, rewrite={"authority": "rewrite"})
    assert made.route.host_rewrite_literal == "rewrite"


def test_the_order_in_which_headers_are_written_does_not_count() -> None:
    written = {name: name for name in "abc"}
    backwards = dict(reversed(written.items()))
    assert route(route=[one()], headers={"request": {"set": written}}) == route(
        route=[one()], headers={"request": {"set": backwards}}
    )


# --- rewrite, redirect, direct response


def test_rewrites() -> None:
    assert route(route=[one()], rewrite={"uri": "/b"}).route.prefix_rewrite == "/b"
    regex = route(route=[one()], rewrite={"uriRegexRewrite": {"match": "a", "rewrite": "b"}}).route.regex_rewrite
    assert (regex.pattern.regex, regex.substitution) == ("a", "b")


@pytest.mark.parametrize(
    ("redirect", "port", "redirected_to"),
    [
        ({"derivePort": "FROM_REQUEST_PORT"}, 9080, 9080),
        ({"derivePort": "FROM_REQUEST_PORT"}, 80, 0),
        ({"derivePort": "FROM_REQUEST_PORT", "scheme": "https"}, 443, 0),
        ({"derivePort": "FROM_REQUEST_PORT", "scheme": "https"}, 80, 80),
        ({"derivePort": "FROM_PROTOCOL_DEFAULT"}, 9080, 0),
        ({"port": 443, "scheme": "https"}, 80, 0),
        ({"port": 443}, 80, 443),
        ({"port": 80}, 9080, 0),
        ({"uri": "/"}, 9080, 0),
    ],
)
def test_the_own_port_of_a_scheme_is_left_out(redirect: dict[str, Any], port: int, redirected_to: int) -> None:
    assert route(port, redirect=redirect).redirect.port_redirect == redirected_to


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "MOVED_PERMANENTLY"),
        (301, "MOVED_PERMANENTLY"),
        (302, "FOUND"),
        (303, "SEE_OTHER"),
        (307, "TEMPORARY_REDIRECT"),
        (308, "PERMANENT_REDIRECT"),
    ],
)
def test_redirect_codes(code: int, name: str) -> None:
    made = route(redirect={"uri": "/", "redirectCode": code}).redirect
    assert RedirectAction.RedirectResponseCode.Name(made.response_code) == name


def test_redirects() -> None:
    made = route(redirect={"uri": "/b", "authority": "c", "scheme": "https"}).redirect
    assert (made.path_redirect, made.host_redirect, made.scheme_redirect) == ("/b", "c", "https")
    assert route(redirect={"prefixRewrite": "/b"}).redirect.prefix_rewrite == "/b"


def test_direct_responses() -> None:
    text = route(directResponse={"status": 418, "body": {"string": "tea"}}).direct_response
    assert (text.status, text.body.inline_string) == (418, "tea")
    assert route(directResponse={"status": 204}).direct_response.HasField("body") is False


@pytest.mark.parametrize("written", ["-_8=", "+/8="])
def test_bytes_may_be_written_in_both_alphabets_of_base64(written: str) -> None:
    made = route(directResponse={"status": 200, "body": {"bytes": written}})
    assert made.direct_response.body.inline_bytes == b"\xfb\xff"


def test_headers_are_for_redirects_and_direct_responses_too() -> None:
    made = route(directResponse={"status": 200}, headers={"response": {"set": {"a": "b"}}})
    assert headers(made.response_headers_to_add) == [("a", "b", False)]


# --- mirrors


@pytest.mark.trap(19)
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"mirror": {"host": "b", "subset": "v2"}}, {"b|v2": 1_000_000}),
        ({"mirror": {"host": "b"}, "mirrorPercentage": {"value": 0.0001}}, {"b|": 1}),
        ({"mirror": {"host": "b"}, "mirrorPercentage": {"value": 0}}, {}),
        ({"mirror": {"host": "b"}, "mirrorPercent": 20}, {"b|": 200_000}),
        ({"mirror": {"host": "b"}, "mirrorPercent": 20, "mirrorPercentage": {"value": 5.5}}, {"b|": 55_000}),
        (
            {
                "mirrors": [
                    {"destination": {"host": "b"}},
                    {"destination": {"host": "c"}, "percentage": {"value": 50}},
                    {"destination": {"host": "d"}, "percentage": {"value": 0}},
                ]
            },
            {"b|": 1_000_000, "c|": 500_000},
        ),
    ],
)
def test_an_absent_percentage_mirrors_all(rule: dict[str, Any], expected: dict[str, int]) -> None:
    policies = route(route=[one()], **rule).route.request_mirror_policies
    assert {one.cluster: one.runtime_fraction.default_value.numerator for one in policies} == expected
    # As Istio has it: the copy has the host of the original, and is no part of its trace.
    assert all(one.disable_shadow_host_suffix_append and not one.trace_sampled.value for one in policies)


def test_grpcs_own_client_gets_no_mirrors() -> None:
    made = Route()
    rule = HTTPRoute.model_validate({"route": [one()], "mirror": {"host": "b"}})
    apply_action(made, rule, cluster_of, 9080, proxyless=True)
    assert not made.route.request_mirror_policies
