"""gRPC's own xDS client (state of the world) finds a service through the server, and follows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from tests.feature.xds.harness import Source, api_listener, cluster, endpoints, group, routes

from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from mizzen.xds import Discovery

TARGET = "reviews.default.svc.cluster.local:9080"
# The proxyless client: an answer for each line that it reads.
CLIENT = f"""
import sys, grpc
with grpc.insecure_channel("xds:///{TARGET}") as channel:
    call = channel.unary_unary("/reviews.Reviews/Get")
    for line in sys.stdin:
        try:
            print(call(b"", wait_for_ready=line.startswith("wait"), timeout=10).decode(), flush=True)
        except grpc.RpcError as error:
            print(error.code().name, flush=True)
"""


@contextlib.asynccontextmanager
async def backend(answer: bytes) -> AsyncIterator[int]:
    async def get(request: bytes, context: object) -> bytes:
        return answer

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(get)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("reviews.Reviews", {"Get": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


class Client:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, how: str = "fail fast") -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{how}\n".encode())
        async with asyncio.timeout(30):
            return (await self._process.stdout.readline()).decode().strip()

    async def call_until(self, answer: str) -> None:
        """Calls until the answer is that; nothing but the answers before and after may be seen."""
        async with asyncio.timeout(10):
            while await self.call("wait") != answer:
                pass


@pytest.fixture
async def client(discovery: Discovery, folder: Path) -> AsyncIterator[Client]:
    bootstrap = {
        "xds_servers": [
            {
                "server_uri": f"unix:{folder}/xds.sock",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": "client-1"},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
    )
    try:
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def config(source: Source, target: str, **ports: int) -> int:
    return source.set(
        group(LISTENER, api_listener(TARGET, "9080")),
        group(ROUTES, routes("9080", (target, 1), host="*")),
        group(CLUSTER, *(cluster(name) for name in ports)),
        group(ENDPOINTS, *(endpoints(name, port) for name, port in ports.items())),
    )


async def test_calls_follow_endpoints_and_routes(source: Source, client: Client, discovery: Discovery) -> None:
    async with backend(b"v1") as v1, backend(b"v2") as v2, backend(b"v3") as v3:
        version = config(source, "one", one=v1)
        assert await client.call("wait") == "v1"
        progress = await discovery.fleet.wait(version, 5)
        assert (progress.synced, progress.pending) == (("client-1",), {})
        states = {
            short: (status.state, status.resources) for short, status in discovery.fleet.proxies()[0].types.items()
        }
        assert states == dict.fromkeys(("CDS", "EDS", "LDS", "RDS"), ("SYNCED", 1))

        config(source, "one", one=v2)  # other endpoints
        await client.call_until("v2")
        config(source, "two", one=v2, two=v3)  # another cluster
        await client.call_until("v3")
        version = config(source, "two", two=v3)  # the old one goes
        assert (await discovery.fleet.wait(version, 5)).synced == ("client-1",)
        assert await client.call() == "v3"


async def test_service_that_appears_later_is_found(source: Source, client: Client, discovery: Discovery) -> None:
    """gRPC waits (for 15 s) for a listener that it asked for: one that is absent from a response may be on its way."""
    version = source.set(group(LISTENER, api_listener("another", "9080")))
    async with backend(b"v1") as v1, asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(client.call("wait"))
        async with asyncio.timeout(10):
            while not (await discovery.fleet.wait(version, 10)).synced:
                await asyncio.sleep(0)
        config(source, "one", one=v1)
    assert answer.result() == "v1"
