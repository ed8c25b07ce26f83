"""What a proxy of a small world is given, as messages."""

from __future__ import annotations

from tests.support.worlds import read, snapshot_of

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, Resources
from mizzen.mesh.model import Proxy, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)


class Compiled:
    """All resources of one proxy."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.clusters = {name: Cluster.FromString(one.body) for name, one in resources[CLUSTER].items()}
        self.endpoints = {
            name: ClusterLoadAssignment.FromString(one.body) for name, one in resources[ENDPOINTS].items()
        }
        self.listeners = {name: Listener.FromString(one.body) for name, one in resources[LISTENER].items()}
        self.routes = {name: RouteConfiguration.FromString(one.body) for name, one in resources[ROUTES].items()}
        filters = resources.get(FILTERS, {})  # gRPC's own clients have none
        self.filters = {name: TypedExtensionConfig.FromString(one.body) for name, one in filters.items()}

    def hosts(self, route: str) -> dict[str, VirtualHost]:
        """Returns the virtual hosts of a route configuration by name."""
        return {host.name: host for host in self.routes[route].virtual_hosts}

    def routes_of(self, route: str, host: str) -> list[Route]:
        return list(self.hosts(route)[host].routes)

    def cluster_of(self, route: str, host: str) -> list[str]:
        """Returns the clusters to which the routes of a host lead."""
        return [one.route.cluster for one in self.routes_of(route, host)]


def compiled(*texts: str, proxy: str = "client-0.default", capture: str = "transparent") -> Compiled:
    """Compiles a sidecar in the world of these resources."""
    snapshot = snapshot_of(read(*texts), capture)
    return Compiled(Compiler().compile(snapshot.proxies[proxy], snapshot))


def managers(listener: Listener) -> list[HttpConnectionManager]:
    """Returns the connection managers of a listener, in the order of its filter chains."""
    return [
        HttpConnectionManager.FromString(one.typed_config.value)
        for chain in [*listener.filter_chains, listener.default_filter_chain]
        for one in chain.filters
        if one.typed_config.Is(HttpConnectionManager.DESCRIPTOR)
    ]


def every_manager(given: Compiled) -> dict[str, HttpConnectionManager]:
    """Returns the connection managers of a proxy by the statistics' prefix, which names the routes."""
    return {one.stat_prefix: one for listener in given.listeners.values() for one in managers(listener)}


def grpc_client(namespace: str = "default") -> Proxy:
    return Proxy(id=f"grpc.{namespace}", namespace=namespace, kind=ProxyKind.PROXYLESS)


def all_proxies(compiler: Compiler, snapshot: Snapshot) -> dict[str, Resources]:
    """Compiles all proxies of a snapshot, and a gRPC client."""
    proxies = [*snapshot.proxies.values(), grpc_client()]
    return {proxy.id: compiler.compile(proxy, snapshot) for proxy in proxies}
