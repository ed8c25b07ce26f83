"""Routes of connections on a real Envoy: they come by themselves, change no connection, and are taken back when refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.envoy import test_xds as http
from tests.envoy.test_xds import PROXY, Connection, CountingEncoder, Mesh, envoy, get
from tests.feature.xds.harness import KEY, cluster, endpoints, group, tcp_listener, tcp_route

from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, XdsResource, encode, pack
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.xds import Progress, State

pytestmark = pytest.mark.envoy

ports = http.ports
folder = http.folder


@pytest.fixture
async def mesh(folder: Path, ports: dict[str, int]) -> AsyncIterator[Mesh]:
    """A ready Envoy that passes bytes on to cluster a."""
    mesh = Mesh(folder)
    mesh.listeners = group(LISTENER, tcp_listener("l", mesh.port, "r"))
    async with mesh.serve(), envoy(folder):
        await route(mesh, ports, tcp_route("r", ("a", 1)))
        await mesh.until_ready()
        yield mesh


async def route(mesh: Mesh, ports: dict[str, int], resource: XdsResource) -> Progress:
    version = mesh.source.set(
        group(CLUSTER, *(cluster(name) for name in ports)),
        group(ENDPOINTS, *(endpoints(name, port) for name, port in ports.items())),
        mesh.listeners,
        group(FILTERS, resource),
    )
    return await mesh.discovery.fleet.wait(version, 10)


async def test_a_change_of_a_route_is_for_new_connections(mesh: Mesh, ports: dict[str, int]) -> None:
    kept = Connection(mesh.port)
    assert await kept.get() == (200, "a")
    assert (await route(mesh, ports, tcp_route("r", ("b", 1)))).synced == (PROXY,)
    assert await get(mesh.port) == (200, "b")
    # Envoy's drain time is a second here.
    await asyncio.sleep(2)
    assert await kept.get() == (200, "a")
    await kept.close()


async def test_a_route_that_is_refused_is_traced_and_the_one_before_it_stays(mesh: Mesh, ports: dict[str, int]) -> None:
    bad = TypedExtensionConfig(name="r", typed_config=pack(TcpProxy(stat_prefix="no cluster")))
    progress = await route(mesh, ports, encode("r", bad, [KEY]))
    (rejection,) = mesh.rejections
    assert progress.rejected == {PROXY: (rejection,)}
    assert (rejection.resource, rejection.origins) == ("r", (KEY,))
    (status,) = mesh.discovery.fleet.proxies()
    assert (status.types["ECDS"].state, status.types["LDS"].state) == (State.ERROR, State.SYNCED)
    assert await get(mesh.port) == (200, "a")
    assert (await route(mesh, ports, tcp_route("r", ("b", 1)))).synced == (PROXY,)
    assert await get(mesh.port) == (200, "b")


async def test_a_restarted_server_sends_no_route_again(
    folder: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = Mesh(folder)
    mesh.listeners = group(LISTENER, tcp_listener("l", mesh.port, "r"))
    async with envoy(folder):
        async with mesh.serve():
            assert (await route(mesh, ports, tcp_route("r", ("a", 1)))) is not None
            await mesh.until_ready()
        counted = CountingEncoder()
        monkeypatch.setattr("mizzen.xds.server.Encoder", lambda: counted)
        mesh.new_discovery()
        async with mesh.serve():
            async with asyncio.timeout(20):
                while not _synced(mesh):
                    await asyncio.sleep(0.02)
            assert counted.responses == 0
            assert await get(mesh.port) == (200, "a")


def _synced(mesh: Mesh) -> bool:
    """Whether the proxy has asked for its route again, and has all."""
    proxies = mesh.discovery.fleet.proxies()
    types = proxies[0].types if proxies else {}
    return "ECDS" in types and all(types[one].state is State.SYNCED for one in ("CDS", "LDS", "ECDS"))
