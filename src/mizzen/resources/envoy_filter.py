"""The model of ``networking.istio.io`` EnvoyFilter: patches of what Envoy is configured with.

A patch's value is a message of Envoy's own API, in the JSON form of protobuf; which one, ``applyTo`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from mizzen.resources.model import Later, Many, Model, StringMap

_Later = Annotated[Any, Later()]

ApplyTo = Literal[
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "LISTENER_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
]
Operation = Literal[
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
]
Context = Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]

FILTERS = frozenset({"NETWORK_FILTER", "HTTP_FILTER", "LISTENER_FILTER"})
OF_LISTENERS = FILTERS | {"LISTENER", "FILTER_CHAIN"}
OF_ROUTES = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})
HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"

MERGES = frozenset({"MERGE", "MERGE_AND_REPLACE_LIST"})
_ADDS = frozenset({"ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"})
_OF_FILTERS = MERGES | _ADDS | {"REMOVE", "REPLACE"}
_OF_OBJECTS = MERGES | _ADDS | {"REMOVE"}

OPERATIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "LISTENER": _OF_OBJECTS,
        "FILTER_CHAIN": _OF_OBJECTS,
        "NETWORK_FILTER": _OF_FILTERS,
        "HTTP_FILTER": _OF_FILTERS,
        "LISTENER_FILTER": _OF_FILTERS,
        "ROUTE_CONFIGURATION": MERGES,
        "VIRTUAL_HOST": _OF_OBJECTS | {"REPLACE"},
        "HTTP_ROUTE": _OF_OBJECTS,
        "CLUSTER": _OF_OBJECTS,
        "EXTENSION_CONFIG": _ADDS,
        "BOOTSTRAP": MERGES,
    }
)
"""The operations that do something to each class of objects; Istio takes the others and does nothing."""

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "LISTENER": "envoy.config.listener.v3.Listener",
        "FILTER_CHAIN": "envoy.config.listener.v3.FilterChain",
        "NETWORK_FILTER": "envoy.config.listener.v3.Filter",
        "HTTP_FILTER": "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        "LISTENER_FILTER": "envoy.config.listener.v3.ListenerFilter",
        "ROUTE_CONFIGURATION": "envoy.config.route.v3.RouteConfiguration",
        "VIRTUAL_HOST": "envoy.config.route.v3.VirtualHost",
        "HTTP_ROUTE": "envoy.config.route.v3.Route",
        "CLUSTER": "envoy.config.cluster.v3.Cluster",
        "EXTENSION_CONFIG": "envoy.config.core.v3.TypedExtensionConfig",
        "BOOTSTRAP": "envoy.config.bootstrap.v3.Bootstrap",
    }
)
"""Which message of Envoy's API the value of a patch is."""

_DEPRECATED: Mapping[str, str] = MappingProxyType(
    {
        f"envoy.{old}": f"envoy.filters.{new}"
        for old, new in (
            ("buffer", "http.buffer"),
            ("cors", "http.cors"),
            ("csrf", "http.csrf"),
            ("ext_authz", "http.ext_authz"),
            ("fault", "http.fault"),
            ("grpc_http1_bridge", "http.grpc_http1_bridge"),
            ("grpc_json_transcoder", "http.grpc_json_transcoder"),
            ("grpc_web", "http.grpc_web"),
            ("gzip", "http.compressor"),
            ("health_check", "http.health_check"),
            ("ip_tagging", "http.ip_tagging"),
            ("lua", "http.lua"),
            ("rate_limit", "http.ratelimit"),
            ("router", "http.router"),
            ("squash", "http.squash"),
            ("listener.http_inspector", "listener.http_inspector"),
            ("listener.original_dst", "listener.original_dst"),
            ("listener.original_src", "listener.original_src"),
            ("listener.proxy_protocol", "listener.proxy_protocol"),
            ("listener.tls_inspector", "listener.tls_inspector"),
            ("client_ssl_auth", "network.client_ssl_auth"),
            ("echo", "network.echo"),
            ("http_connection_manager", "network.http_connection_manager"),
            ("mongo_proxy", "network.mongo_proxy"),
            ("ratelimit", "network.ratelimit"),
            ("redis_proxy", "network.redis_proxy"),
            ("tcp_proxy", "network.tcp_proxy"),
        )
    }
)


def current_name(filter_name: str) -> str:
    """Returns the name of a filter today for one that Envoy had in its earlier API."""
    return _DEPRECATED.get(filter_name, filter_name)


class FilterSelector(Model):
    labels: StringMap = Field(default_factory=dict)


class ProxyMatch(Model):
    """``proxy_version`` is a regular expression that is found anywhere in ``ISTIO_VERSION`` of the proxy's metadata."""

    proxy_version: str = ""
    metadata: StringMap = Field(default_factory=dict)


class SubFilterMatch(Model):
    name: str = ""


class FilterMatch(Model):
    name: str = ""
    sub_filter: SubFilterMatch | None = None


class FilterChainMatch(Model):
    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    destination_port: int = 0
    filter: FilterMatch | None = None


class ListenerMatch(Model):
    port_number: int = 0
    port_name: Annotated[str, Later()] = ""
    name: str = ""
    listener_filter: str = ""
    filter_chain: FilterChainMatch | None = None

    @property
    def filter(self) -> str:
        """The name of the network filter, "" for any."""
        chain = self.filter_chain
        return current_name(chain.filter.name) if chain and chain.filter else ""

    @property
    def sub_filter(self) -> str:
        """The name of the HTTP filter, "" for any."""
        chain = self.filter_chain
        inner = chain.filter.sub_filter if chain and chain.filter else None
        return current_name(inner.name) if inner else ""


class RouteMatch(Model):
    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


class VirtualHostMatch(Model):
    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class RouteConfigurationMatch(Model):
    port_number: int = 0
    port_name: str = ""
    gateway: str = ""
    name: str = ""
    vhost: VirtualHostMatch | None = None


class ClusterMatch(Model):
    port_number: int = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class ObjectMatch(Model):
    """Which objects a patch is for; no condition is true of all."""

    ONE_OF = (("listener", "route_configuration", "cluster", "waypoint"),)

    context: Annotated[Context, Later(only={"WAYPOINT"})] = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: _Later = None


class Patch(Model):
    operation: Operation | None = None
    value: Mapping[str, Any] | None = None
    filter_class: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"


class ConfigPatch(Model):
    apply_to: ApplyTo | None = None
    match: ObjectMatch = Field(default_factory=ObjectMatch)
    patch: Patch | None = None


class EnvoyFilterSpec(Model):
    """Without a selector it is for all workloads of its namespace, and from the root namespace for all of the mesh.

    The patches of a lower ``priority`` come first.
    """

    workload_selector: FilterSelector | None = None
    target_refs: _Later = None
    config_patches: Many[ConfigPatch] = ()
    priority: int = 0
