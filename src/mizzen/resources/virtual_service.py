"""The model of ``networking.istio.io`` VirtualService: which requests go where, and how.

The whole published schema is here; what Mizzen does not implement yet is marked with :class:`~mizzen.resources.model.Later`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.model import Duration, Later, Many, Model, Percent, PortSelector, StringMap, StringMatch
from mizzen.resources.paths import join


class Destination(Model):
    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Model):
    set: Mapping[str, str] = Field(default_factory=dict)
    add: Mapping[str, str] = Field(default_factory=dict)
    remove: Many[str] = ()


class Headers(Model):
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


JwtClaims = Later(prefix="@request.auth.claims")


class HTTPMatchRequest(Model):
    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Annotated[Mapping[str, StringMatch], JwtClaims] = Field(default_factory=dict)
    without_headers: Annotated[Mapping[str, StringMatch], JwtClaims] = Field(default_factory=dict)
    query_params: Mapping[str, StringMatch] = Field(default_factory=dict)
    ignore_uri_case: bool = False
    port: int = 0
    source_labels: StringMap = Field(default_factory=dict)
    source_namespace: str = ""
    gateways: Many[str] = ()
    stat_prefix: str = ""


class HTTPRouteDestination(Model):
    destination: Destination | None = None
    weight: int = 0
    headers: Headers | None = None


class HTTPRedirect(Model):
    ONE_OF = (("port", "derive_port"),)

    uri: str = ""
    prefix_rewrite: str = ""
    authority: str = ""
    scheme: str = ""
    port: int | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    redirect_code: int = 0


class HTTPBody(Model):
    """The body of a direct response; ``bytes`` is base64, as in protobuf's JSON form."""

    ONE_OF = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None


class HTTPDirectResponse(Model):
    status: int = 0
    body: HTTPBody | None = None


class RegexRewrite(Model):
    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Model):
    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(Model):
    attempts: int = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class Delegate(Model):
    name: str = ""
    namespace: str = ""


class HTTPMirrorPolicy(Model):
    destination: Destination | None = None
    percentage: Percent | None = None


class CorsPolicy(Model):
    allow_origin: Many[str] = ()
    allow_origins: Many[StringMatch] = ()
    allow_methods: Many[str] = ()
    allow_headers: Many[str] = ()
    expose_headers: Many[str] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


class FaultDelay(Model):
    ONE_OF = (("fixed_delay", "exponential_delay"),)

    fixed_delay: Duration | None = None
    exponential_delay: Annotated[Duration | None, Later()] = None
    percentage: Percent | None = None
    percent: int = 0


GRPC_STATUSES: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ]
    )
}
"""The statuses of gRPC by name, as users write them, with their numbers on the wire (google.rpc.Code)."""


class FaultAbort(Model):
    ONE_OF = (("http_status", "grpc_status", "http2_error"),)

    http_status: int | None = None
    grpc_status: str | None = None
    http2_error: Annotated[str | None, Later()] = None
    percentage: Percent | None = None


class HTTPFaultInjection(Model):
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HTTPRoute(Model):
    name: str = ""
    match: Many[HTTPMatchRequest] = ()
    route: Many[HTTPRouteDestination] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: Many[HTTPMirrorPolicy] = ()
    mirror_percentage: Percent | None = None
    mirror_percent: int | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


def destinations(route: HTTPRoute) -> Iterator[tuple[str, Destination]]:
    """Yields where requests of a route may go, copies too, each with its path in the route."""
    for position, weighted in enumerate(route.route):
        if weighted.destination is not None:
            yield f"{join('route', position)}.destination", weighted.destination
    if route.mirror is not None:
        yield "mirror", route.mirror
    for position, policy in enumerate(route.mirrors):
        if policy.destination is not None:
            yield f"{join('mirrors', position)}.destination", policy.destination


class RouteDestination(Model):
    destination: Destination | None = None
    weight: int = 0


class TLSMatchAttributes(Model):
    sni_hosts: Many[str] = ()
    destination_subnets: Many[str] = ()
    port: int = 0
    source_labels: StringMap = Field(default_factory=dict)
    gateways: Many[str] = ()
    source_namespace: str = ""


class TLSRoute(Model):
    match: Many[TLSMatchAttributes] = ()
    route: Many[RouteDestination] = ()


class L4MatchAttributes(Model):
    destination_subnets: Many[str] = ()
    port: int = 0
    source_subnet: Annotated[str, Later()] = ""
    source_labels: StringMap = Field(default_factory=dict)
    gateways: Many[str] = ()
    source_namespace: str = ""


class TCPRoute(Model):
    match: Many[L4MatchAttributes] = ()
    route: Many[RouteDestination] = ()


class VirtualServiceSpec(Model):
    """An empty ``gateways`` means the mesh's sidecars; an empty ``export_to`` means every namespace."""

    hosts: Many[str] = ()
    gateways: Many[str] = ()
    http: Many[HTTPRoute] = ()
    tls: Many[TLSRoute] = ()
    tcp: Many[TCPRoute] = ()
    export_to: Many[str] = ()


def all_destinations(spec: VirtualServiceSpec) -> Iterator[tuple[str, Destination]]:
    """Yields where requests and connections may go, each with its path in the specification."""
    for index, route in enumerate(spec.http):
        for path, destination in destinations(route):
            yield f"{join('http', index)}.{path}", destination
    kinds: tuple[tuple[str, Sequence[TLSRoute | TCPRoute]], ...] = (("tls", spec.tls), ("tcp", spec.tcp))
    for name, routes in kinds:
        for index, l4_route in enumerate(routes):
            for position, weighted in enumerate(l4_route.route):
                if weighted.destination is not None:
                    path = f"{join(name, index)}.{join('route', position)}.destination"
                    yield path, weighted.destination
