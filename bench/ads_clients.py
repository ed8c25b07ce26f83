"""Proxies that are not there: real delta ADS streams that subscribe, receive and acknowledge as Envoy does.

A process of its own for any number of them, each with a connection of its own. They take clusters, then endpoints by
name, listeners, then routes by name; each response is decoded and acknowledged. They apply nothing, which is what makes
a hundred of them possible on one machine.

``python -m bench.ads_clients`` reads a line of JSON, ``{"socket": ..., "nodes": [...]}``, writes ``ready`` when all have
all, and when its input ends writes ``[[monotonic nanoseconds, version], ...]``: all acknowledgements, in order.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc
import grpc.aio

from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, TypeUrl
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.stubs.envoy.config.listener.v3 import listener_pb2
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
_HTTP = "envoy.filters.network.http_connection_manager"


@dataclass
class Proxy:
    """What one proxy knows: the names that it has asked for, by type, and those that it has yet to be given."""

    node: str
    asked: dict[TypeUrl, set[str]] = field(default_factory=lambda: {ENDPOINTS: set(), ROUTES: set()})
    missing: set[tuple[TypeUrl, str]] = field(default_factory=lambda: {(CLUSTER, "*"), (LISTENER, "*")})
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def first(self) -> discovery_pb2.DeltaDiscoveryRequest:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
        request.node.id = self.node
        return request

    def receive(self, response: discovery_pb2.DeltaDiscoveryResponse) -> Iterable[discovery_pb2.DeltaDiscoveryRequest]:
        """Takes a response; returns the requests that follow it, its acknowledgement first."""
        type_url = TypeUrl(response.type_url)
        yield discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce)
        self.missing -= {(type_url, "*"), *((type_url, resource.name) for resource in response.resources)}
        if type_url == CLUSTER:
            yield from self._ask(ENDPOINTS, _assignments(response))
            if (LISTENER, "*") in self.missing:
                yield discovery_pb2.DeltaDiscoveryRequest(type_url=LISTENER)
        elif type_url == LISTENER:
            yield from self._ask(ROUTES, _route_names(response))
        if not self.missing:
            self.complete.set()

    def _ask(self, type_url: TypeUrl, names: Iterable[str]) -> Iterable[discovery_pb2.DeltaDiscoveryRequest]:
        new = set(names) - self.asked[type_url]
        if new:
            self.asked[type_url] |= new
            self.missing |= {(type_url, name) for name in new}
            yield discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=sorted(new))


def _assignments(response: discovery_pb2.DeltaDiscoveryResponse) -> Iterable[str]:
    for resource in response.resources:
        cluster = cluster_pb2.Cluster.FromString(resource.resource.value)
        if cluster.type == cluster_pb2.Cluster.EDS:
            yield cluster.eds_cluster_config.service_name or cluster.name


def _route_names(response: discovery_pb2.DeltaDiscoveryResponse) -> Iterable[str]:
    for resource in response.resources:
        listener = listener_pb2.Listener.FromString(resource.resource.value)
        for chain in listener.filter_chains:
            for one in chain.filters:
                if one.name == _HTTP:
                    manager = http_connection_manager_pb2.HttpConnectionManager.FromString(one.typed_config.value)
                    if manager.rds.route_config_name:
                        yield manager.rds.route_config_name


async def stay_connected(socket: str, proxy: Proxy, acknowledged: list[tuple[int, int]]) -> None:
    """Runs one stream until it is cancelled."""
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
        # Without (de)serializers bytes go in and out as they are.
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(_METHOD)()
        await call.write(proxy.first().SerializeToString())
        while True:
            data = await call.read()
            if not isinstance(data, bytes):
                raise ConnectionResetError("the control plane has ended the stream")
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            for request in proxy.receive(response):
                await call.write(request.SerializeToString())
                if request.response_nonce:
                    acknowledged.append((time.monotonic_ns(), int(response.system_version_info)))


async def run(socket: str, nodes: Iterable[str]) -> list[tuple[int, int]]:
    """Runs the proxies until standard input ends; returns when what version was acknowledged."""
    acknowledged: list[tuple[int, int]] = []
    proxies = [Proxy(node) for node in nodes]
    async with asyncio.TaskGroup() as tasks:
        streams = [tasks.create_task(stay_connected(socket, proxy, acknowledged)) for proxy in proxies]
        for proxy in proxies:
            await proxy.complete.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for stream in streams:
            stream.cancel()
    return acknowledged


def main() -> None:
    task = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(run(task["socket"], task["nodes"]))), flush=True)


if __name__ == "__main__":
    main()
