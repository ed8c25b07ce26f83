"""What the filters before the router do with the requests of a route: faults and CORS (HTTPRoute, Istio 1.1 and 2.8).

The filters are in every connection manager that has routes of VirtualServices, so that a rule which comes or goes changes
a route and no listener: connections stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from mizzen.compile.protos import duration, millionths
from mizzen.compile.resource import pack
from mizzen.compile.route_matches import string_matcher
from mizzen.resources.model import Percent
from mizzen.resources.virtual_service import (
    GRPC_STATUSES,
    CorsPolicy,
    FaultAbort,
    FaultDelay,
    HTTPFaultInjection,
    HTTPRoute,
)
from mizzen.stubs.envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route
from mizzen.stubs.envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay as EnvoyDelay
from mizzen.stubs.envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from mizzen.stubs.envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy as EnvoyCors
from mizzen.stubs.envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort as EnvoyAbort
from mizzen.stubs.envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher
from mizzen.stubs.envoy.type.v3.percent_pb2 import FractionalPercent

_FAULT = "envoy.filters.http.fault"
_CORS = "envoy.filters.http.cors"


def fault_filter() -> HttpFilter:
    """Builds the filter that does what routes say of faults, and nothing without them."""
    return HttpFilter(name=_FAULT, typed_config=pack(HTTPFault()))


def cors_filter() -> HttpFilter:
    """Builds the filter that answers preflights for routes with a CORS policy."""
    return HttpFilter(name=_CORS, typed_config=pack(Cors()))


def apply_filters(route: Route, rule: HTTPRoute, *, proxyless: bool = False) -> None:
    """Sets what the filters do for a route. gRPC's own client knows faults, and refuses what it does not know."""
    for name, message in _policies(rule):
        if proxyless and name != _FAULT:
            continue
        route.typed_per_filter_config[name].CopyFrom(pack(message))


def _policies(rule: HTTPRoute) -> Iterator[tuple[str, Message]]:
    if rule.fault and (fault := _fault(rule.fault)):
        yield _FAULT, fault
    if rule.cors_policy:
        yield _CORS, _cors(rule.cors_policy)


def _fault(given: HTTPFaultInjection) -> HTTPFault | None:
    fault = HTTPFault()
    if given.delay and given.delay.fixed_delay:
        fault.delay.CopyFrom(_delay(given.delay, given.delay.fixed_delay))
    if given.abort and (abort := _abort(given.abort)):
        fault.abort.CopyFrom(abort)
    return fault if fault.HasField("delay") or fault.HasField("abort") else None


def _delay(given: FaultDelay, seconds: float) -> EnvoyDelay:
    # `percent` is the older form, in whole numbers.
    percent = given.percentage.value if given.percentage else given.percent
    return EnvoyDelay(fixed_delay=duration(seconds), percentage=millionths(percent))


def _abort(given: FaultAbort) -> EnvoyAbort | None:
    """Builds an abort; None for one that does not say with what."""
    abort = EnvoyAbort(percentage=millionths(_percent(given.percentage)))
    if given.http_status is not None:
        abort.http_status = given.http_status
    elif given.grpc_status is not None:
        abort.grpc_status = GRPC_STATUSES[given.grpc_status]
    else:
        return None
    return abort


def _percent(given: Percent | None) -> float:
    """An absent percentage of a fault is none of the requests (Istio 8, 19)."""
    return given.value if given else 0.0


def _cors(given: CorsPolicy) -> EnvoyCors:
    cors = EnvoyCors(
        allow_methods=",".join(given.allow_methods),
        allow_headers=",".join(given.allow_headers),
        expose_headers=",".join(given.expose_headers),
        filter_enabled=RuntimeFractionalPercent(
            default_value=FractionalPercent(numerator=100, denominator=FractionalPercent.HUNDRED)
        ),
    )
    cors.allow_origin_string_match.extend(_origins(given))
    cors.forward_not_matching_preflights.value = given.unmatched_preflights != "IGNORE"
    if given.max_age is not None:
        cors.max_age = str(int(given.max_age))
    if given.allow_credentials is not None:
        cors.allow_credentials.value = given.allow_credentials
    return cors


def _origins(given: CorsPolicy) -> Iterable[StringMatcher]:
    """Of the two fields for origins the newer one decides, if it is there at all."""
    newer = [matcher for one in given.allow_origins if (matcher := string_matcher(one))]
    return newer or [StringMatcher(exact=one) for one in given.allow_origin]
