"""What a delta xDS client receives from the real server, over a Unix socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.feature.xds.harness import (
    KEY,
    NODE_ID,
    DeltaClient,
    Source,
    channel_to,
    cluster,
    endpoints,
    group,
    listener,
    names,
    routes,
)

from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.xds import Discovery, Rejection, serve

PROXY = "reviews-v1-0.default"


async def test_wildcard_client_receives_all_clusters_as_they_were_compiled(
    source: Source, channel: grpc.aio.Channel
) -> None:
    source.set(group(CLUSTER, cluster("a"), cluster("b")))
    client = DeltaClient(channel)
    response = await client.exchange(CLUSTER)
    assert names(response) == ["a", "b"]
    assert response.type_url == CLUSTER
    assert response.system_version_info == "1"
    resource = response.resources[0]
    assert resource.version == cluster(resource.name).version
    message = cluster_pb2.Cluster()
    assert resource.resource.Unpack(message)
    assert message.name == resource.name


async def test_change_is_pushed_and_acknowledged(
    source: Source, channel: grpc.aio.Channel, discovery: Discovery
) -> None:
    source.set(group(ROUTES, routes("r", ("a", 1))))
    client = DeltaClient(channel)
    await client.exchange(ROUTES, ["r"])
    version = source.set(group(ROUTES, routes("r", ("a", 2))))
    response = await client.receive()
    assert names(response) == ["r"]
    assert discovery.fleet.progress(version).pending == {PROXY: ("RDS",)}
    await client.ack(response)
    assert (await discovery.fleet.wait(version, 5)).synced == (PROXY,)


async def test_new_cluster_new_route_old_cluster_in_this_order(
    source: Source, channel: grpc.aio.Channel, discovery: Discovery
) -> None:
    static = group(LISTENER, listener("l", 80, "r"))
    source.set(
        group(CLUSTER, cluster("a")), group(ENDPOINTS, endpoints("a", 1)), static, group(ROUTES, routes("r", ("a", 1)))
    )
    client = DeltaClient(channel)
    for type_url, wanted in ((CLUSTER, []), (ENDPOINTS, ["a"]), (LISTENER, []), (ROUTES, ["r"])):
        await client.exchange(type_url, wanted)
    version = source.set(
        group(CLUSTER, cluster("b")), group(ENDPOINTS, endpoints("b", 1)), static, group(ROUTES, routes("r", ("b", 1)))
    )
    added = await client.receive()
    assert (added.type_url, names(added), list(added.removed_resources)) == (CLUSTER, ["b"], [])
    await client.exchange(ENDPOINTS, ["b"])
    await client.ack(added)
    moved = await client.receive()
    assert moved.type_url == ROUTES
    await client.ack(moved)
    removed = await client.receive()
    assert (removed.type_url, names(removed), list(removed.removed_resources)) == (CLUSTER, [], ["a"])
    assert discovery.fleet.progress(version).pending
    await client.ack(removed)
    assert (await discovery.fleet.wait(version, 5)).synced == (PROXY,)


async def test_proxy_that_is_not_known_yet_waits_for_its_configuration(
    source: Source, channel: grpc.aio.Channel, discovery: Discovery
) -> None:
    client = DeltaClient(channel)
    await client.request(CLUSTER)
    source.set(group(CLUSTER, cluster("a")))
    assert names(await client.receive()) == ["a"]


async def test_rejection_is_traced_and_the_others_go_out(
    source: Source, channel: grpc.aio.Channel, discovery: Discovery, rejections: list[Rejection]
) -> None:
    source.set(group(ROUTES, routes("good"), routes("bad", origins=[KEY])))
    client = DeltaClient(channel)
    await client.request(ROUTES, ["good", "bad"])
    await client.nack(await client.receive(), "one of them is bad")
    for _ in range(2):
        response = await client.receive()
        if names(response) == ["bad"]:
            await client.nack(response, "regex is too large")
        else:
            await client.ack(response)
    progress = await discovery.fleet.wait(source.version, 5)
    (rejection,) = rejections
    assert progress.rejected == {PROXY: (rejection,)}
    assert (rejection.resource, rejection.message, rejection.origins) == ("bad", "regex is too large", (KEY,))
    source.set(group(ROUTES, routes("good", ("a", 1)), routes("bad", origins=[KEY])))
    assert names(await client.receive()) == ["good"]


async def test_restarted_server_sends_nothing_again(source: Source, folder: Path) -> None:
    source.set(group(CLUSTER, cluster("a")), group(ROUTES, routes("r")))
    known = {CLUSTER: {"a": cluster("a").version}, ROUTES: {"r": routes("r").version}}
    discovery = Discovery(source)
    async with serve(folder / "xds.sock", discovery), channel_to(folder / "xds.sock") as channel:
        client = DeltaClient(channel)
        await client.request(CLUSTER, versions=known[CLUSTER])
        await client.request(ROUTES, ["r"], versions=known[ROUTES])
        while not (proxies := discovery.fleet.proxies()) or proxies[0].types["RDS"].state != "SYNCED":
            await asyncio.sleep(0)
        assert (await discovery.fleet.wait(source.version, 5)).synced == (PROXY,)
        assert all(status.sent is None for status in proxies[0].types.values())
        # What comes first is what changes now: nothing was sent before it.
        source.set(group(CLUSTER, cluster("a")), group(ROUTES, routes("r", ("a", 1))))
        assert (await client.receive()).type_url == ROUTES


async def test_missing_reply_holds_up_routes_for_a_bounded_time_only(source: Source, folder: Path) -> None:
    source.set(group(ROUTES, routes("r")))
    async with serve(folder / "xds.sock", Discovery(source, patience=0.05)), channel_to(folder / "xds.sock") as channel:
        client = DeltaClient(channel)
        await client.exchange(CLUSTER)
        await client.exchange(ROUTES, ["r"])
        source.set(group(CLUSTER, cluster("a")), group(ROUTES, routes("r", ("a", 1))))
        assert (await client.receive()).type_url == CLUSTER
        assert (await client.receive()).type_url == ROUTES


@pytest.mark.parametrize(("node", "type_url", "text"), [("", CLUSTER, "node with an id"), (NODE_ID, "", "type_url")])
async def test_broken_request_ends_the_stream_with_a_reason(
    source: Source, channel: grpc.aio.Channel, node: str, type_url: str, text: str
) -> None:
    client = DeltaClient(channel, node)
    await client.request(type_url)
    with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
        await client.call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_garbage_ends_the_stream_with_a_reason(channel: grpc.aio.Channel) -> None:
    call: Any = channel.stream_stream(
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    )()
    await call.write(b"\xff\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_client_that_leaves_is_forgotten(source: Source, channel: grpc.aio.Channel, discovery: Discovery) -> None:
    source.set(group(CLUSTER, cluster("a")))
    client = DeltaClient(channel)
    await client.exchange(CLUSTER)
    assert [status.node.proxy for status in discovery.fleet.proxies()] == [PROXY]
    await client.call.done_writing()
    assert await client.call.read() is grpc.aio.EOF
    while discovery.fleet.proxies():
        await asyncio.sleep(0)


async def test_hundred_streams_are_brought_to_a_new_version(
    source: Source, channel: grpc.aio.Channel, discovery: Discovery
) -> None:
    source.set(group(ROUTES, routes("r")))
    clients = [DeltaClient(channel, f"sidecar~ip~p{number}.default~x") for number in range(100)]
    for client in clients:
        await client.exchange(ROUTES, ["r"])
    version = source.set(group(ROUTES, routes("r", ("a", 1))))

    async def follow(client: DeltaClient) -> None:
        await client.ack(await client.receive())

    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(follow(client))
        progress = await discovery.fleet.wait(version, 10)
    assert len(progress.synced) == 100
