"""The socket, its folder, its end; and a second service on the same machinery."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.feature.xds.harness import DeltaClient, Source, channel_to, cluster, group, names

from mizzen.compile.resource import CLUSTER, SECRET, XdsResource
from mizzen.stubs.envoy.config.core.v3 import base_pb2
from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.xds import SECRETS, Discovery, serve


async def test_socket_left_behind_is_replaced_and_none_is_left(source: Source, folder: Path) -> None:
    path = folder / "xds.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    source.set(group(CLUSTER, cluster("a")))
    async with serve(path, Discovery(source)), channel_to(path) as channel:
        assert names(await DeltaClient(channel).exchange(CLUSTER)) == ["a"]
    assert not path.exists()


async def test_socket_in_use_is_not_taken(source: Source, folder: Path) -> None:
    async with serve(folder / "xds.sock", Discovery(source)):
        with pytest.raises(OSError, match="another process serves"):
            async with serve(folder / "xds.sock", Discovery(source)):
                pass


async def test_file_in_the_way_is_kept(source: Source, folder: Path) -> None:
    (folder / "xds.sock").write_text("precious")
    with pytest.raises(FileExistsError, match="not a socket"):
        async with serve(folder / "xds.sock", Discovery(source)):
            pass
    assert (folder / "xds.sock").read_text() == "precious"


async def test_open_folder_is_refused(source: Source, folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="chmod 700"):
        async with serve(folder / "xds.sock", Discovery(source)):
            pass


async def test_path_that_is_too_long_is_refused(source: Source, folder: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        async with serve(folder / ("x" * 100), Discovery(source)):
            pass


async def test_streams_end_well_when_the_server_stops(source: Source, folder: Path) -> None:
    source.set(group(CLUSTER, cluster("a")))
    async with channel_to(folder / "xds.sock") as channel:
        async with serve(folder / "xds.sock", Discovery(source)):
            client = DeltaClient(channel)
            await client.exchange(CLUSTER)
            idle: Any = channel.stream_stream(
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            )()
            await idle.wait_for_connection()
        assert await client.call.read() is grpc.aio.EOF
        assert await client.call.code() is grpc.StatusCode.OK


async def test_secrets_are_served_beside_by_a_source_of_their_own(folder: Path) -> None:
    secrets, configs = Source(), Source()
    configs.set(group(CLUSTER, cluster("a")))
    path = folder / "xds.sock"
    discovery = Discovery(secrets, services=[SECRETS])
    async with serve(path, Discovery(configs), discovery), channel_to(path) as channel:
        delta: Any = channel.stream_stream(
            "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        node = base_pb2.Node(id="sidecar~ip~a.default~x")
        await delta.write(discovery_pb2.DeltaDiscoveryRequest(node=node, resource_names_subscribe=["default"]))
        secrets.set(group(SECRET, XdsResource("default", "1", b"certificate")))
        response = await delta.read()
        assert (response.type_url, names(response)) == (SECRET, ["default"])
        state: Any = channel.stream_stream(
            "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )()
        node = base_pb2.Node(id="sidecar~ip~b.default~x")
        await state.write(discovery_pb2.DiscoveryRequest(node=node, resource_names=["default"]))
        first = await state.read()
        assert [resource.value for resource in first.resources] == [b"certificate"]
        await state.write(
            discovery_pb2.DiscoveryRequest(
                resource_names=["default"], response_nonce=first.nonce, version_info=first.version_info
            )
        )
        secrets.set(group(SECRET, XdsResource("default", "2", b"renewed")))
        assert [resource.value for resource in (await state.read()).resources] == [b"renewed"]
        delta.cancel()
        state.cancel()
