"""Route configurations: for each port that clients call, which host and request goes to which cluster.

A VirtualService's change re-makes the route configurations that its host is in and nothing else; of these it re-makes its
own virtual hosts and takes the others as they were built (``build_host`` may remember). Virtual hosts carry the names by
which a service may be called from the proxy's namespace (Istio 2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import TypeAlias

from mizzen.compile import names, retries
from mizzen.compile.destinations import cluster_of
from mizzen.compile.elsewhere import allow_any
from mizzen.compile.protos import config_path, metadata
from mizzen.compile.resource import XdsResource, encoded
from mizzen.compile.route_actions import apply_action, timeouts
from mizzen.compile.route_filters import apply_filters
from mizzen.compile.route_matches import build_match, described_path, is_catch_all
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.gateways import names_any
from mizzen.mesh.model import Host, Labels, MeshConfig, VirtualService, labels_of, selects
from mizzen.resources.gateway_names import MESH
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.virtual_service import Destination, HTTPMatchRequest, HTTPRoute
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration

# What a VirtualService may hold at most; Envoy's own limit is 4 kB.
_LARGEST_DIRECT_RESPONSE = 1 << 20
_BAD_GATEWAY = 502
SIDECARS = frozenset({MESH})


@dataclass(frozen=True)
class Source:
    """What of the calling proxy a VirtualService may ask for: its namespace, and those labels that some rule names."""

    namespace: str
    labels: Labels = ()


@dataclass(frozen=True)
class VirtualHostView:
    """Everything that a virtual host depends on.

    Of ``virtual_services`` the first that has a route routes the host; ``ports`` are the ports of the hosts to which they
    lead, for destinations that name none, and ``hashed`` those of their clusters that choose endpoints by hash.
    ``origin`` is the Service behind the host, if there is one. ``proxyless`` is for gRPC's own client. ``seat`` says whose
    clusters the routes lead to; ``secure`` that clients speak TLS, which ends here.
    """

    host: Host
    port: int
    domains: tuple[str, ...]
    source: Source
    virtual_services: tuple[VirtualService, ...] = ()
    ports: tuple[tuple[Host, tuple[int, ...]], ...] = ()
    hashed: frozenset[str] = frozenset()
    origin: Key | None = None
    proxyless: bool = False
    seat: Seat = ALONE
    secure: bool = False
    mesh_config: MeshConfig | None = None

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """What a dataclass has, computed once: a port has a thousand hosts, of which one is new."""
        return hash(tuple(getattr(self, name) for name in self.__dataclass_fields__))

    @cached_property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def mesh(self) -> MeshConfigSpec | None:
        return self.mesh_config.spec if self.mesh_config else None

    @cached_property
    def alone(self) -> RoutesView:
        """The route configuration of this host and no other."""
        return RoutesView(self.seat.named(names.service_route(self.host, self.port)), (self,))


@dataclass(frozen=True)
class RoutesView:
    """Everything that a route configuration depends on; ``passthrough`` lets hosts that it does not know go on, unless
    they are ``blocked``, to the cluster ``elsewhere``.

    Of ``hosts`` no two have the same domain.
    """

    name: str
    hosts: tuple[VirtualHostView, ...]
    passthrough: bool = False
    blocked: bool = False
    ignore_port: bool = True
    elsewhere: str = names.PASSTHROUGH


@dataclass(frozen=True)
class BuiltHost:
    """A virtual host, encoded as a part of a route configuration, and the users' resources that shaped it."""

    part: bytes
    origins: tuple[Key, ...]


BuildHost: TypeAlias = Callable[[VirtualHostView], BuiltHost]


def build_host(view: VirtualHostView) -> BuiltHost:
    """Builds a virtual host: with the routes of the first VirtualService that has some for this source and port.

    Where none has any, the host is routed as if there were no VirtualService (Istio 2.3).
    """
    origins = [view.origin] if view.origin else []
    origins += [view.mesh_config.key] if view.mesh_config else []
    routes: list[Route] = []
    for rule in view.virtual_services:
        if routes := list(routes_of(view, rule)):
            origins += rule.origins
            break
    message = VirtualHost(
        name=view.name,
        domains=view.domains,
        routes=routes or [default_route(view)],
        include_request_attempt_count=True,
    )
    return BuiltHost(encoded_host(message), tuple(origins))


def build_routes(view: RoutesView, build: BuildHost = build_host) -> XdsResource:
    """Builds a route configuration; its virtual hosts are made by ``build``."""
    built = [build(host) for host in view.hosts]
    elsewhere = _block_all() if view.blocked else allow_any(view.elsewhere)
    rest = [encoded_host(elsewhere)] if view.passthrough else []
    return joined(view.name, built, rest, ignore_port=view.ignore_port)


def joined(
    name: str, built: Sequence[BuiltHost], rest: Iterable[bytes] = (), *, ignore_port: bool = True
) -> XdsResource:
    """Returns the route configuration of virtual hosts that were built before; ``rest`` are further encoded ones."""
    config = RouteConfiguration(name=name, ignore_port_in_host_matching=ignore_port)
    # A route may be there before its cluster on a proxy; the order of a push takes care of that.
    config.validate_clusters.value = False
    config.max_direct_response_body_size_bytes.value = _LARGEST_DIRECT_RESPONSE
    # It is for proxies: an application that hands on the headers of its answers would speak for itself with it.
    config.response_headers_to_remove.append(retries.UNDELIVERED_HEADER)
    parts = [*(one.part for one in built), *rest]
    # Encoded messages that follow each other are one message with the fields of all (protobuf's encoding).
    body = b"".join([config.SerializeToString(deterministic=True), *parts])
    return encoded(name, body, dict.fromkeys(chain.from_iterable(one.origins for one in built)))


def encoded_host(host: VirtualHost) -> bytes:
    return RouteConfiguration(virtual_hosts=[host]).SerializeToString(deterministic=True)


def _block_all() -> VirtualHost:
    route = Route(name="block_all", match=RouteMatch(prefix="/"))
    route.direct_response.status = _BAD_GATEWAY  # Istio 2.15
    return VirtualHost(name="block_all", domains=["*"], routes=[route], include_request_attempt_count=True)


def routes_of(view: VirtualHostView, rule: VirtualService, gateways: frozenset[str] = SIDECARS) -> Iterator[Route]:
    """Yields the routes that a VirtualService has for a host, up to the first that matches everything (Istio 2.3).

    ``gateways`` are the names of the Gateways by which requests get there, or ``mesh``.
    """
    for http in rule.spec.http:
        for match in http.match or (None,):
            if match is not None and not _concerns(match, view, rule.namespace, gateways):
                continue
            route = _route(view, rule, http, match)
            yield route
            if is_catch_all(route.match):
                return


def _concerns(match: HTTPMatchRequest, view: VirtualHostView, namespace: str, gateways: frozenset[str]) -> bool:
    """Tells whether a match is about calls of this source to this port, which is known when routes are made.

    ``namespace`` is that of the VirtualService.
    """
    source = view.source
    if match.port and match.port != view.port:
        return False
    if match.gateways:
        # Naming gateways turns the conditions on the source off (Istio 2.3).
        return names_any(match.gateways, namespace, gateways)
    if match.source_namespace and match.source_namespace != source.namespace:
        return False
    return selects(labels_of(match.source_labels), source.labels)


def _route(view: VirtualHostView, rule: VirtualService, http: HTTPRoute, match: HTTPMatchRequest | None) -> Route:
    name = ".".join(part for part in (http.name, match.name if match else "") if part)
    route = Route(name=name, match=build_match(match), stat_prefix=match.stat_prefix if match else "")
    ports = dict(view.ports)

    def named(destination: Destination | None) -> str:
        return cluster_of(destination, rule, view.port, ports, view.seat)

    apply_action(
        route,
        http,
        named,
        view.port,
        hashed=view.hashed,
        mesh=view.mesh,
        proxyless=view.proxyless,
        secure=view.secure,
    )
    apply_filters(route, http, proxyless=view.proxyless)
    route.decorator.operation = _operation(route, rule, view.port)
    described = {"config": config_path(rule.key, "virtual-service")}
    if http.name:  # by which rate limits of gateways name it
        described["route"] = f"{rule.namespace}/{rule.name}/{http.name}"
    route.metadata.CopyFrom(metadata(istio=described))
    return route


def _operation(route: Route, rule: VirtualService, port: int) -> str:
    """Returns what a span of the route is called: by its destination if there is one, else by its VirtualService."""
    path = described_path(route.match)
    if cluster := route.route.cluster:
        _, called, _, host = cluster.split("|")
        return f"{host}:{called}{path}"
    return f"{rule.name}:{port}{path}"


def default_route(view: VirtualHostView) -> Route:
    """Builds the route of a service that no VirtualService routes: to all its endpoints, with Istio's defaults."""
    route = Route(name="default", match=RouteMatch(prefix="/"))
    route.route.cluster = view.seat.named(names.outbound_cluster(view.port, "", view.host))
    timeouts(route.route, None, proxyless=view.proxyless)
    if policy := retries.outbound_retries(None, hashed=route.route.cluster in view.hashed, mesh=view.mesh):
        route.route.retry_policy.CopyFrom(policy)
    route.decorator.operation = f"{view.host}:{view.port}/*"
    return route


def mentioned_labels(rules: Iterable[VirtualService]) -> frozenset[str]:
    """Returns the label names that any rule asks of a caller: only these of a proxy's labels can change its routes."""
    return frozenset().union(*map(_mentioned, rules))


@lru_cache(maxsize=65536)
def _mentioned(rule: VirtualService) -> frozenset[str]:
    spec = rule.spec
    matches = (match for routes in (spec.http, spec.tls, spec.tcp) for route in routes for match in route.match)
    return frozenset(name for match in matches for name in match.source_labels)
