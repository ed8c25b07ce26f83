"""Outlier detection: which endpoints a proxy leaves out for a while because they fail (OutlierDetection, Istio 1.2)."""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import UInt32Value

from mizzen.compile.protos import duration, uint32
from mizzen.resources.destination_rule import OutlierDetection
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.common.matcher.v3.matcher_pb2 import MatchPredicate
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher

_ALL = 100


def apply(cluster: Cluster, given: OutlierDetection | None) -> None:
    """Sets outlier detection of a cluster. What is not written keeps Envoy's default, which is Istio's, except that
    success rates are not judged: with a few endpoints they say nothing (Istio 2.9).
    """
    if given is None:
        return
    detection = cluster.outlier_detection
    detection.enforcing_success_rate.value = 0
    if given.consecutive_5xx_errors is not None:
        detection.consecutive_5xx.value = given.consecutive_5xx_errors
        detection.enforcing_consecutive_5xx.CopyFrom(_enforced(given.consecutive_5xx_errors))
    if given.consecutive_gateway_errors is not None:
        detection.consecutive_gateway_failure.value = given.consecutive_gateway_errors
        # Envoy counts these without acting on them, unless it is told to.
        detection.enforcing_consecutive_gateway_failure.CopyFrom(_enforced(given.consecutive_gateway_errors))
    if given.interval is not None:
        detection.interval.CopyFrom(duration(given.interval))
    if given.base_ejection_time is not None:
        detection.base_ejection_time.CopyFrom(duration(given.base_ejection_time))
    if given.max_ejection_percent:
        detection.max_ejection_percent.value = given.max_ejection_percent
    if given.split_external_local_origin_errors:
        detection.split_external_local_origin_errors = True
        detection.enforcing_local_origin_success_rate.value = 0
        if given.consecutive_local_origin_failures:
            detection.consecutive_local_origin_failure.value = given.consecutive_local_origin_failures
            detection.enforcing_consecutive_local_origin_failure.value = _ALL
    # With fewer left than this, load is spread over all again, those that were left out included.
    cluster.common_lb_config.healthy_panic_threshold.value = given.min_health_percent


def failures(given: OutlierDetection | None) -> MatchPredicate | None:
    """Returns which answers count as failed: those with the given status codes alone, and without any 5xx, for which Envoy
    needs no word (Istio 1.2).
    """
    codes = sorted(set(given.outlier_detection_http_error_codes)) if given else []
    if len(codes) < 2:  # of which Envoy takes no set
        return _answer(codes[0]) if codes else None
    return MatchPredicate(or_match=MatchPredicate.MatchSet(rules=map(_answer, codes)))


def _answer(code: int) -> MatchPredicate:
    predicate = MatchPredicate()
    status = HeaderMatcher(name=":status", string_match=StringMatcher(exact=str(code)))
    predicate.http_response_headers_match.headers.append(status)
    return predicate


def _enforced(count: int) -> UInt32Value:
    """Returns the share of detections that are acted on: a count of 0 turns the detection off."""
    return uint32(_ALL if count else 0)
