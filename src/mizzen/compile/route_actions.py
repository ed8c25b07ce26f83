"""Route actions: what happens to a request that a rule of a VirtualService matches (HTTPRoute, Istio 1.1)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TypeAlias

from mizzen.compile import retries
from mizzen.compile.protos import duration, millionths, uint32
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.virtual_service import (
    Destination,
    HeaderOperations,
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
)
from mizzen.stubs.envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    RedirectAction,
    Route,
    RouteAction,
    WeightedCluster,
)

# The name of the cluster that a destination means.
ClusterOf: TypeAlias = Callable[[Destination | None], str]

_REDIRECT_CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_HEADERS = frozenset({"host", ":authority"})
_URL_SAFE = str.maketrans("-_", "+/")


def apply_action(
    route: Route,
    rule: HTTPRoute,
    cluster_of: ClusterOf,
    port: int,
    *,
    hashed: Container[str] = (),
    mesh: MeshConfigSpec | None = None,
    proxyless: bool = False,
    secure: bool = False,
) -> None:
    """Sets what a route does: redirect, answer directly, or pass on; ``port`` is the port that clients call.

    ``hashed`` are the clusters that choose endpoints by hash; ``mesh`` has the default retries; ``secure`` says that clients
    speak TLS to this proxy.
    """
    if rule.redirect:
        route.redirect.CopyFrom(_redirect(rule.redirect, port, "https" if secure else "http"))
    elif rule.direct_response:
        route.direct_response.CopyFrom(_direct_response(rule.direct_response))
    else:
        route.route.CopyFrom(_forward(rule, cluster_of, hashed, mesh, proxyless=proxyless))
    if rule.headers:
        _apply_headers(route, rule.headers.request, rule.headers.response)
    if len(rule.route) == 1 and (headers := rule.route[0].headers):
        _apply_headers(route, headers.request, headers.response)


def timeouts(action: RouteAction, timeout: float | None, *, proxyless: bool = False) -> None:
    """Sets the timeout of a route, always explicitly: Envoy's own default of 15 s must not apply (Istio 2.8).

    Where ``max_stream_duration`` is set, Envoy does not look at the timeout at all; gRPC's own client looks at nothing
    else. Without a timeout a gRPC call ends when its grpc-timeout header says so.
    """
    action.timeout.CopyFrom(duration(timeout or 0))
    if proxyless:
        action.max_stream_duration.max_stream_duration.CopyFrom(duration(timeout or 0))
    elif not timeout:
        action.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
        action.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))


def _forward(
    rule: HTTPRoute, cluster_of: ClusterOf, hashed: Container[str], mesh: MeshConfigSpec | None, *, proxyless: bool
) -> RouteAction:
    action = RouteAction()
    timeouts(action, rule.timeout, proxyless=proxyless)
    sticky = any(cluster_of(target.destination) in hashed for target in rule.route)
    if policy := retries.outbound_retries(rule.retries, hashed=sticky, mesh=mesh):
        action.retry_policy.CopyFrom(policy)
    host = _host_of(rule.headers.request if rule.headers else None)
    if rule.rewrite:
        _rewrite_path(action, rule.rewrite)
        host = rule.rewrite.authority or host
    if len(rule.route) == 1:
        (target,) = rule.route
        action.cluster = cluster_of(target.destination)
        # The whole route's host wins over its destination's, as Envoy has it where there are several (Istio 1.1).
        host = host or _host_of(target.headers.request if target.headers else None)
    else:
        # Several destinations stay a weighted cluster even when one has all the weight: its headers are its own.
        targets = [target for target in rule.route if target.weight > 0]
        action.weighted_clusters.clusters.extend(_weighted(target, cluster_of) for target in targets)
    if host:
        action.host_rewrite_literal = host
    if not proxyless:  # gRPC's own client has no mirrors
        action.request_mirror_policies.extend(_mirrors(rule, cluster_of))
    return action


def _mirrors(rule: HTTPRoute, cluster_of: ClusterOf) -> Iterator[RouteAction.RequestMirrorPolicy]:
    """Yields a policy for each destination that gets copies; an absent percentage is all requests (Istio 8, 19)."""
    given = [(one.destination, one.percentage.value if one.percentage else 100.0) for one in rule.mirrors]
    if rule.mirror:
        given.append((rule.mirror, _mirror_percent(rule)))
    for destination, percent in given:
        if percent > 0:
            policy = RouteAction.RequestMirrorPolicy(
                cluster=cluster_of(destination), disable_shadow_host_suffix_append=True
            )
            policy.runtime_fraction.default_value.CopyFrom(millionths(percent))
            policy.trace_sampled.value = False
            yield policy


def _mirror_percent(rule: HTTPRoute) -> float:
    if rule.mirror_percentage:
        return rule.mirror_percentage.value
    return 100.0 if rule.mirror_percent is None else float(rule.mirror_percent)


def _weighted(target: HTTPRouteDestination, cluster_of: ClusterOf) -> WeightedCluster.ClusterWeight:
    weighted = WeightedCluster.ClusterWeight(name=cluster_of(target.destination), weight=uint32(target.weight))
    if target.headers:
        _apply_headers(weighted, target.headers.request, target.headers.response)
        if host := _host_of(target.headers.request):
            weighted.host_rewrite_literal = host
    return weighted


def _rewrite_path(action: RouteAction, rewrite: HTTPRewrite) -> None:
    if rewrite.uri_regex_rewrite:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        # Envoy puts it in place of what the route matched: the prefix, or the whole path.
        action.prefix_rewrite = rewrite.uri


def _redirect(redirect: HTTPRedirect, port: int, scheme: str) -> RedirectAction:
    action = RedirectAction(
        host_redirect=redirect.authority, response_code=_REDIRECT_CODES[redirect.redirect_code or 301]
    )
    if redirect.prefix_rewrite:
        action.prefix_rewrite = redirect.prefix_rewrite
    elif redirect.uri:
        action.path_redirect = redirect.uri
    if redirect.scheme:
        action.scheme_redirect = redirect.scheme
    target = port if redirect.derive_port == "FROM_REQUEST_PORT" else redirect.port
    # A scheme's own port is left out of the address.
    if target and target != _DEFAULT_PORTS[redirect.scheme or scheme]:
        action.port_redirect = target
    return action


def _direct_response(response: HTTPDirectResponse) -> DirectResponseAction:
    action = DirectResponseAction(status=response.status)
    if response.body and response.body.string is not None:
        action.body.inline_string = response.body.string
    elif response.body and response.body.bytes is not None:
        # Both alphabets of base64 are protobuf's JSON form.
        action.body.inline_bytes = base64.b64decode(response.body.bytes.translate(_URL_SAFE))
    return action


def _host_of(request: HeaderOperations | None) -> str:
    """Returns the host that header operations set: setting Host is a rewrite of the authority (Istio 1.1)."""
    if request is None:
        return ""
    operations = [*sorted(request.set.items()), *sorted(request.add.items())]
    return next((value for name, value in operations if name.lower() in _HOST_HEADERS), "")


def _apply_headers(
    target: Route | WeightedCluster.ClusterWeight,
    request: HeaderOperations | None,
    response: HeaderOperations | None,
) -> None:
    if request:
        target.request_headers_to_add.extend(_header_options(request))
        target.request_headers_to_remove.extend(request.remove)
    if response:
        target.response_headers_to_add.extend(_header_options(response))
        target.response_headers_to_remove.extend(response.remove)


def _header_options(operations: HeaderOperations) -> Sequence[HeaderValueOption]:
    kinds = (
        (operations.set, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD),
        (operations.add, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD),
    )
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)
        for headers, action in kinds
        for name, value in sorted(headers.items())
        if name.lower() not in _HOST_HEADERS
    ]
