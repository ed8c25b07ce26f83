from __future__ import annotations

from typing import Any

import pytest

from mizzen.compile import outliers
from mizzen.resources.destination_rule import OutlierDetection
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster


def cluster(**given: Any) -> Cluster:
    made = Cluster()
    outliers.apply(made, OutlierDetection.model_validate(given))
    return made


def test_without_it_nothing_is_detected() -> None:
    made = Cluster()
    outliers.apply(made, None)
    assert not made.HasField("outlier_detection")


def test_what_is_not_written_keeps_the_default_but_success_rates_are_not_judged() -> None:
    made = cluster()
    assert made.HasField("outlier_detection")
    assert [field.name for field, _ in made.outlier_detection.ListFields()] == ["enforcing_success_rate"]
    assert made.outlier_detection.enforcing_success_rate.value == 0
    assert made.common_lb_config.healthy_panic_threshold.value == 0


@pytest.mark.parametrize(("count", "enforced"), [(7, 100), (0, 0)])
def test_a_count_of_zero_turns_a_detection_off(count: int, enforced: int) -> None:
    made = cluster(consecutive5xxErrors=count, consecutiveGatewayErrors=count).outlier_detection
    assert (made.consecutive_5xx.value, made.enforcing_consecutive_5xx.value) == (count, enforced)
    assert (made.consecutive_gateway_failure.value, made.enforcing_consecutive_gateway_failure.value) == (
        count,
        enforced,
    )


def test_times_and_shares() -> None:
    made = cluster(interval="1s", baseEjectionTime="3m", maxEjectionPercent=100, minHealthPercent=50)
    assert made.outlier_detection.interval.ToSeconds() == 1
    assert made.outlier_detection.base_ejection_time.ToSeconds() == 180
    assert made.outlier_detection.max_ejection_percent.value == 100
    assert made.common_lb_config.healthy_panic_threshold.value == 50


@pytest.mark.parametrize(("failures", "enforced"), [(None, False), (0, False), (3, True)])
def test_failures_to_connect_are_counted_apart_if_asked_for(failures: int | None, enforced: bool) -> None:
    made = cluster(splitExternalLocalOriginErrors=True, consecutiveLocalOriginFailures=failures).outlier_detection
    assert made.split_external_local_origin_errors
    assert made.HasField("enforcing_consecutive_local_origin_failure") == enforced
    assert made.consecutive_local_origin_failure.value == (failures or 0)
    assert made.HasField("enforcing_local_origin_success_rate")


@pytest.mark.parametrize(("codes", "expected"), [([], []), ([429], ["429"]), ([503, 429, 503], ["429", "503"])])
def test_which_answers_count_as_failed(codes: list[int], expected: list[str]) -> None:
    given = OutlierDetection.model_validate({"outlierDetectionHttpErrorCodes": codes})
    found = outliers.failures(given)
    answers = (found.or_match.rules or [found]) if found else []
    headers = [header for one in answers for header in one.http_response_headers_match.headers]
    assert {header.name for header in headers} <= {":status"}
    assert [header.string_match.exact for header in headers] == expected


@pytest.mark.trap(17, 18)
def test_shares_of_zero_are_the_default() -> None:
    """Envoy's of ejected endpoints, which is 10 %, and no panic."""
    made = cluster(maxEjectionPercent=0, minHealthPercent=0)
    assert not made.outlier_detection.HasField("max_ejection_percent")
    assert made.common_lb_config.HasField("healthy_panic_threshold")
    assert made.common_lb_config.healthy_panic_threshold.value == 0
