"""The model of ``mizzen.dev/v1alpha1`` RateLimit: how many requests workloads and gateways take.

Istio has no such kind: there it is written in Envoy's words, in an EnvoyFilter. What is counted is what comes in, at the proxy
of each selected workload, or at each selected gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from mizzen.resources.model import Duration, Many, Model, Percent, StringMap, StringMatch, WorkloadSelector
from mizzen.resources.virtual_service import HTTPMatchRequest

SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
TOO_MANY = 429


class RequestMatch(Model):
    """Which requests are meant, with the fields of a VirtualService's match."""

    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = Field(default_factory=dict)
    without_headers: Mapping[str, StringMatch] = Field(default_factory=dict)
    query_params: Mapping[str, StringMatch] = Field(default_factory=dict)

    def as_http(self) -> HTTPMatchRequest:
        """Returns the same as a VirtualService says it, without ``route``."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "route"}
        return HTTPMatchRequest(**given)


class LimitMatch(RequestMatch):
    """``route`` names one of a VirtualService's routes, as ``virtual-service/route`` or with a namespace before it: at gateways
    alone, for elsewhere there are none.
    """

    route: str = ""

    def full_route(self, namespace: str) -> str:
        """Returns the name of the route with namespace and VirtualService; ``namespace`` is that of the RateLimit."""
        return self.route if self.route.count("/") > 1 else f"{namespace}/{self.route}"


class Value(Model):
    """What of a request tells one client from another; a request that has no such value is not counted."""

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("header", "query_parameter", "client_address"),)

    header: str = ""
    query_parameter: str = ""
    client_address: Literal[True] | None = None


class Limit(Model):
    """A bucket from which each request takes one: it holds ``burst`` (``requests`` if that is not given), and ``requests`` are
    added in each ``unit``, evenly. With ``per`` there is a bucket for each value. ``shadow`` only counts.
    """

    name: str = ""
    match: LimitMatch | None = None
    per: Many[Value] = ()
    requests: int = 0
    unit: Literal["SECOND", "MINUTE", "HOUR", "DAY"] = "SECOND"
    burst: int = 0
    shadow: bool = False


class ConnectionLimits(Model):
    """How many connections are taken, on ports of bytes and at gateways: ``new`` ones in each ``unit`` (``burst`` at once), and so
    many that are ``open`` at a time. 0 is no limit.
    """

    new: int = 0
    unit: Literal["SECOND", "MINUTE", "HOUR", "DAY"] = "SECOND"
    burst: int = 0
    open: int = 0


class Entry(Value):
    """A part of a descriptor: a key, and a value that is written or taken from the request."""

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("value", "header", "query_parameter", "client_address"),)

    key: str = ""
    value: str = ""


class Descriptor(Model):
    """What the server is asked about a request that fits ``match``."""

    match: RequestMatch | None = None
    entries: Many[Entry] = ()


class LimitServer(Model):
    """A service that speaks Envoy's rate limit protocol (``envoy.service.ratelimit.v3``)."""

    host: str = ""
    port: int = 0


class GlobalLimits(Model):
    """Limits that a server keeps for all proxies. ``timeout`` is in seconds; without an answer requests are let through, or
    refused if ``failure_mode`` is DENY.
    """

    server: LimitServer | None = None
    domain: str = ""
    descriptors: Many[Descriptor] = ()
    timeout: Duration = 0.1
    failure_mode: Literal["ALLOW", "DENY"] = "ALLOW"


class RateLimitSpec(Model):
    """Without a ``selector`` it is for all workloads of its namespace. What of it is not ``connections`` is for requests.
    ``enforced`` is the share of requests over a limit that are refused, all if it is not given; ``status`` is what these are
    answered with. ``response_headers`` has answers tell how much is left.
    """

    selector: WorkloadSelector | None = None
    limits: Many[Limit] = ()
    connections: ConnectionLimits | None = None
    shared: GlobalLimits | None = Field(default=None, alias="global")
    enforced: Percent | None = None
    status: int = TOO_MANY
    response_headers: bool = False

    @property
    def labels(self) -> StringMap:
        return self.selector.match_labels if self.selector else {}
