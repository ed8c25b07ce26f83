"""gRPC's own xDS client calls services of the mesh by name, through what the real compiler makes of users' YAML."""

from __future__ import annotations

import dataclasses

import pytest
from tests.feature.xds.test_grpc_client import Client, backend
from tests.feature.xds.test_grpc_client import client as client  # noqa: PLC0414 - a fixture
from tests.support.worlds import read, snapshot_of

from mizzen.compile.compiler import Compiler
from mizzen.latest import Latest
from mizzen.mesh.model import Endpoint, Proxy, Snapshot, labels_of
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.xds import Config, Node

HOST = "reviews.default.svc.cluster.local"
SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: grpc, port: 9080}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
"""
ROUTE = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: %s}
"""


class Compiled:
    """A source whose every proxy is a gRPC client in the namespace ``default``."""

    def __init__(self) -> None:
        self._compiler = Compiler()
        self._latest: Latest[Snapshot | None] = Latest(None)

    def put(self, text: str, version: int, *endpoints: Endpoint) -> None:
        snapshot = snapshot_of(read(text), version=version)
        self._latest.set(dataclasses.replace(snapshot, endpoints={(HOST, 9080): tuple(sorted(endpoints))}))

    def config(self, node: Node) -> Config | None:
        snapshot = self._latest.get()
        if snapshot is None:
            return None
        proxy = Proxy(id=node.proxy, namespace="default", kind=ProxyKind.PROXYLESS)
        return Config(snapshot.version, self._compiler.compile(proxy, snapshot))

    async def changed(self, version: int) -> int:
        snapshot = await self._latest.until(lambda value: value is not None and value.version > version)
        return snapshot.version if snapshot else version


@pytest.fixture
def source() -> Compiled:
    """Takes the place of the hand-written source that the fixture ``discovery`` serves."""
    return Compiled()


def plaintext(port: int, version: str) -> Endpoint:
    return Endpoint("127.0.0.1", port, "default", f"reviews-{version}", labels_of({"version": version}), tls=False)


async def test_calls_follow_the_virtual_service(source: Compiled, client: Client) -> None:
    async with backend(b"v1") as first, backend(b"v2") as second:
        both = plaintext(first, "v1"), plaintext(second, "v2")
        source.put(SERVICES + ROUTE % "v1", 1, *both)
        assert {await client.call("wait") for _ in range(20)} == {"v1"}
        source.put(SERVICES + ROUTE % "v2", 2, *both)
        await client.call_until("v2")
        assert {await client.call() for _ in range(20)} == {"v2"}
        source.put(SERVICES, 3, *both)
        await client.call_until("v1")
        assert {await client.call() for _ in range(20)} == {"v1", "v2"}
