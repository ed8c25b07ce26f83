"""A hand-written ConfigSource, makers of small xDS resources, and a delta xDS client that speaks by the stubs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage

from mizzen.compile.resource import Resources, XdsResource, encode, pack
from mizzen.compile.tcp_filters import tcp_route as listener_filter
from mizzen.compile.tcp_routes import TcpRouteView, build_tcp_route
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.stubs.envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from mizzen.stubs.envoy.config.listener.v3 import api_listener_pb2, listener_components_pb2, listener_pb2
from mizzen.stubs.envoy.config.route.v3 import route_components_pb2, route_pb2
from mizzen.stubs.envoy.extensions.filters.http.router.v3 import router_pb2
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.stubs.envoy.type.matcher.v3 import regex_pb2
from mizzen.xds import Config, Node

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
NODE_ID = "sidecar~127.0.0.1~reviews-v1-0.default~default.svc.cluster.local"
ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
)
KEY = Key("VirtualService", "default", "reviews")


class Source:
    """A ConfigSource that gives every proxy the same, or what ``only`` says for one."""

    def __init__(self, resources: Resources | None = None) -> None:
        self.version = 1 if resources is not None else 0
        self.resources = resources
        self._changed = asyncio.Event()

    def set(self, *groups: Mapping[str, Mapping[str, XdsResource]]) -> int:
        resources: dict[str, Mapping[str, XdsResource]] = {}
        for group in groups:
            for type_url, named in group.items():
                resources[type_url] = {**resources.get(type_url, {}), **named}
        self.resources = resources
        return self.touch()

    def touch(self) -> int:
        """Makes a new version without a change."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return self.version

    def config(self, node: Node) -> Config | None:
        return None if self.resources is None else Config(self.version, self.resources)

    async def changed(self, version: int) -> int:
        while self.version <= version:
            await self._changed.wait()
        return self.version


def tcp_route(name: str, *shares: tuple[str, int]) -> XdsResource:
    """A TCP route to clusters with weights, under the name by which a listener asks for it."""
    return build_tcp_route(TcpRouteView(name, shares[0][0], shares))


def group(type_url: str, *resources: XdsResource) -> dict[str, dict[str, XdsResource]]:
    return {type_url: {resource.name: resource for resource in resources}}


def cluster(name: str, connect_timeout: float = 1.0, service: str = "") -> XdsResource:
    message = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ADS, service_name=service),
    )
    message.connect_timeout.FromMilliseconds(int(connect_timeout * 1000))
    return encode(name, message)


def _address(port: int) -> address_pb2.Address:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address="127.0.0.1", port_value=port))


def endpoints(name: str, *ports: int) -> XdsResource:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    locality.load_balancing_weight.value = 1
    locality.locality.zone = "zone"
    for port in ports:
        endpoint = locality.lb_endpoints.add(endpoint=endpoint_components_pb2.Endpoint(address=_address(port)))
        endpoint.load_balancing_weight.value = 1
    return encode(name, message)


def _manager(route: str) -> AnyMessage:
    return pack(
        hcm.HttpConnectionManager(
            stat_prefix=route,
            rds=hcm.Rds(config_source=ADS, route_config_name=route),
            http_filters=[hcm.HttpFilter(name="envoy.filters.http.router", typed_config=pack(router_pb2.Router()))],
        )
    )


def listener(name: str, port: int, route: str) -> XdsResource:
    filters = [
        listener_components_pb2.Filter(
            name="envoy.filters.network.http_connection_manager", typed_config=_manager(route)
        )
    ]
    chain = listener_components_pb2.FilterChain(filters=filters)
    return encode(name, listener_pb2.Listener(name=name, address=_address(port), filter_chains=[chain]))


def tcp_listener(name: str, port: int, route: str) -> XdsResource:
    """A listener for bytes, whose filter comes by itself."""
    chain = listener_components_pb2.FilterChain(filters=[listener_filter(route)])
    return encode(name, listener_pb2.Listener(name=name, address=_address(port), filter_chains=[chain]))


def api_listener(name: str, route: str) -> XdsResource:
    return encode(
        name,
        listener_pb2.Listener(name=name, api_listener=api_listener_pb2.ApiListener(api_listener=_manager(route))),
    )


def routes(name: str, *weighted: tuple[str, int], host: str = "*", origins: Iterable[Key] = ()) -> XdsResource:
    message = route_pb2.RouteConfiguration(name=name)
    virtual_host = message.virtual_hosts.add(name="all", domains=[host])
    route = virtual_host.routes.add(match=route_components_pb2.RouteMatch(prefix=""))
    for cluster_name, weight in weighted:
        route.route.weighted_clusters.clusters.add(name=cluster_name).weight.value = weight
    return encode(name, message, origins)


def bad_routes(name: str) -> XdsResource:
    """A route configuration that passes our own checks and not Envoy's: its expression is too large."""
    message = route_pb2.RouteConfiguration(name=name)
    route = message.virtual_hosts.add(name="all", domains=["*"]).routes.add()
    route.match.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex="(" + "|".join(["[a-z]{1,20}x"] * 20) + "){1,50}"))
    route.direct_response.status = 200
    return encode(name, message, [KEY])


class DeltaClient:
    """One delta stream. ``ack`` and ``nack`` are said by the test, or by :meth:`follow`."""

    def __init__(self, channel: grpc.aio.Channel, node: str = NODE_ID) -> None:
        method: grpc.aio.StreamStreamMultiCallable[
            discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse
        ] = channel.stream_stream(
            DELTA,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        self.call = method()
        self._node: str | None = node

    async def request(
        self,
        type_url: str,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        versions: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
    ) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=list(subscribe),
            resource_names_unsubscribe=list(unsubscribe),
            initial_resource_versions=versions or {},
            response_nonce=nonce,
        )
        if error is not None:
            request.error_detail.message = error
        if self._node is not None:
            request.node.CopyFrom(base_pb2.Node(id=self._node))
            self._node = None
        await self.call.write(request)

    async def receive(self) -> discovery_pb2.DeltaDiscoveryResponse:
        async with asyncio.timeout(5):
            response = await self.call.read()
        assert isinstance(response, discovery_pb2.DeltaDiscoveryResponse), "the stream has ended"
        return response

    async def ack(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        await self.request(response.type_url, nonce=response.nonce)

    async def nack(self, response: discovery_pb2.DeltaDiscoveryResponse, error: str = "bad") -> None:
        await self.request(response.type_url, nonce=response.nonce, error=error)

    async def exchange(self, *args: Any, **kwargs: Any) -> discovery_pb2.DeltaDiscoveryResponse:
        """Sends a request, and acknowledges the response."""
        await self.request(*args, **kwargs)
        response = await self.receive()
        await self.ack(response)
        return response


@contextlib.asynccontextmanager
async def channel_to(path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"unix:{path}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def names(response: discovery_pb2.DeltaDiscoveryResponse) -> list[str]:
    return sorted(resource.name for resource in response.resources)
