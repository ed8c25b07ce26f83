from __future__ import annotations

from typing import Any

import grpc
import pytest

from mizzen.compile.route_filters import apply_filters
from mizzen.resources.virtual_service import GRPC_STATUSES, HTTPRoute
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route
from mizzen.stubs.envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from mizzen.stubs.envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault

FAULT, CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"


def route(*, proxyless: bool = False, **rule: Any) -> Route:
    made = Route()
    apply_filters(made, HTTPRoute.model_validate(rule), proxyless=proxyless)
    return made


def fault(**given: Any) -> HTTPFault | None:
    made = route(fault=given)
    if FAULT not in made.typed_per_filter_config:
        return None
    message = HTTPFault()
    assert made.typed_per_filter_config[FAULT].Unpack(message)
    return message


def cors(**given: Any) -> CorsPolicy:
    message = CorsPolicy()
    assert route(corsPolicy=given).typed_per_filter_config[CORS].Unpack(message)
    return message


def test_a_route_without_either_has_nothing_to_say_to_filters() -> None:
    assert not route(route=[{"destination": {"host": "a"}}]).typed_per_filter_config


# --- faults


@pytest.mark.trap(19)
@pytest.mark.parametrize(
    ("delay", "millionths"),
    [
        ({"fixedDelay": "7s", "percentage": {"value": 100}}, 1_000_000),
        ({"fixedDelay": "7s", "percentage": {"value": 0.1}}, 1_000),
        ({"fixedDelay": "7s", "percent": 25}, 250_000),
        ({"fixedDelay": "7s", "percent": 25, "percentage": {"value": 1}}, 10_000),
        ({"fixedDelay": "7s"}, 0),
    ],
)
def test_an_absent_percentage_delays_nothing(delay: dict[str, Any], millionths: int) -> None:
    made = fault(delay=delay)
    assert made is not None
    assert made.delay.fixed_delay.ToSeconds() == 7
    assert made.delay.percentage.numerator == millionths
    assert not made.HasField("abort")


def test_an_abort_with_a_status_of_http() -> None:
    made = fault(abort={"httpStatus": 418, "percentage": {"value": 50}})
    assert made is not None
    assert (made.abort.http_status, made.abort.percentage.numerator) == (418, 500_000)
    assert not made.HasField("delay")


@pytest.mark.trap(19)
def test_an_abort_without_a_percentage_hits_nothing() -> None:
    made = fault(abort={"httpStatus": 503})
    assert made is not None
    assert (made.abort.http_status, made.abort.percentage.numerator) == (503, 0)


def test_an_abort_with_a_status_of_grpc() -> None:
    made = fault(abort={"grpcStatus": "UNAVAILABLE"})
    assert made is not None
    assert (made.abort.grpc_status, made.abort.percentage.numerator) == (14, 0)


def test_statuses_have_their_numbers_on_the_wire() -> None:
    assert {status.name: status.value[0] for status in grpc.StatusCode} == GRPC_STATUSES


def test_what_does_not_say_with_what_to_abort_aborts_nothing() -> None:
    assert fault(abort={"percentage": {"value": 100}}) is None
    made = fault(delay={"fixedDelay": "1s"}, abort={"percentage": {"value": 100}})
    assert made is not None
    assert not made.HasField("abort")


# --- CORS


def test_a_policy_with_everything() -> None:
    made = cors(
        allowOrigins=[{"exact": "https://a.example"}, {"prefix": "https://b"}, {"regex": "https://.*"}],
        allowMethods=["GET", "POST"],
        allowHeaders=["x-a", "x-b"],
        exposeHeaders=["x-c"],
        maxAge="24h",
        allowCredentials=True,
        unmatchedPreflights="IGNORE",
    )
    origins = [(one.exact, one.prefix, one.safe_regex.regex) for one in made.allow_origin_string_match]
    assert origins == [("https://a.example", "", ""), ("", "https://b", ""), ("", "", "https://.*")]
    assert (made.allow_methods, made.allow_headers, made.expose_headers) == ("GET,POST", "x-a,x-b", "x-c")
    assert (made.max_age, made.allow_credentials.value) == ("86400", True)
    assert not made.forward_not_matching_preflights.value
    assert made.filter_enabled.default_value.numerator == 100


def test_preflights_of_other_origins_go_on_by_default() -> None:
    made = cors(allowOrigin=["https://a.example"])
    assert [one.exact for one in made.allow_origin_string_match] == ["https://a.example"]
    assert made.HasField("forward_not_matching_preflights")
    assert made.forward_not_matching_preflights.value
    assert not made.HasField("allow_credentials")
    assert made.max_age == ""


def test_grpcs_own_client_is_told_of_faults_only() -> None:
    made = route(proxyless=True, fault={"abort": {"grpcStatus": "INTERNAL"}}, corsPolicy={"allowOrigin": ["*"]})
    assert list(made.typed_per_filter_config) == [FAULT]
