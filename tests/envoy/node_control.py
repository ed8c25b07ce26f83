"""A small control plane for tests of the node: the node protocol over HTTP, and plain proxies over xDS.

Run as ``python node_control.py SETTINGS``. Each instance gets an inbound listener that forwards to its application
without TLS. ``PUT /fake/desired`` sets what should run, ``GET /fake/report`` returns the last report,
``GET /fake/reports`` the phases and readiness of all reports.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mizzen.compile.resource import CLUSTER, LISTENER, XdsResource, encode, pack
from mizzen.identity import Authority, SpiffeId
from mizzen.registry.reports import CertificateRequest, Desired, InstancePort, Report
from mizzen.settings import Settings
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.stubs.envoy.config.core.v3.address_pb2 import Address, SocketAddress
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from mizzen.stubs.envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from mizzen.stubs.envoy.config.route.v3 import route_components_pb2, route_pb2
from mizzen.stubs.envoy.extensions.filters.http.router.v3 import router_pb2
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from mizzen.xds import Config, Discovery, Node, serve


class FakeControl:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._authority = Authority.open(settings.authority_dir, settings.trust_domain, clock=time.time)
        self._desired_file = settings.state_dir / "desired.json"
        self._desired = Desired(version=0, trust_domain=settings.trust_domain)
        if self._desired_file.exists():
            self._desired = msgspec.json.decode(self._desired_file.read_bytes(), type=Desired)
        self._report = Report(node="")
        self._history: list[list[tuple[str, str, bool]]] = []
        self._version = 1
        self._changed = asyncio.Condition()

    def config(self, node: Node) -> Config | None:
        for instance in self._report.instances:
            if (instance.namespace, instance.name) == (node.namespace, node.name):
                listeners = [_listener(port) for port in instance.ports]
                clusters = [_cluster(port) for port in instance.ports]
                return Config(self._version, {LISTENER: _named(listeners), CLUSTER: _named(clusters)})
        return None

    async def changed(self, version: int) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > version)
        return self._version

    async def _bump(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": "0"})

    async def desired(self, request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="application/json")

    async def _stream(self) -> AsyncIterator[bytes]:
        sent = None
        while True:
            if sent is not self._desired:
                sent = self._desired
                yield msgspec.json.encode(sent) + b"\n"
            async with self._changed:
                await self._changed.wait()

    async def set_desired(self, request: Request) -> Response:
        body = await request.body()
        self._desired = msgspec.json.decode(body, type=Desired)
        self._desired_file.write_bytes(body)
        await self._bump()
        return JSONResponse({})

    async def report(self, request: Request) -> Response:
        self._report = msgspec.json.decode(await request.body(), type=Report)
        self._history.append([(item.name, item.phase, item.ready) for item in self._report.instances])
        await self._bump()
        return JSONResponse({"version": self._version})

    async def get_report(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self._report))

    async def get_reports(self, request: Request) -> Response:
        return JSONResponse(self._history)

    async def versions(self, request: Request) -> Response:
        return JSONResponse({"version": self._version, "synced": [], "pending": [], "rejected": []})

    async def certificate(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=CertificateRequest)
        identity = SpiffeId(self._settings.trust_domain, asked.namespace, asked.service_account)
        return Response(msgspec.json.encode(self._authority.sign(asked.csr, identity, 3600.0)))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/version", self.version),
                Route("/v1/node/desired", self.desired),
                Route("/v1/node/report", self.report, methods=["PUT"]),
                Route("/v1/node/certificates", self.certificate, methods=["POST"]),
                Route("/v1/versions/{number}", self.versions),
                Route("/fake/desired", self.set_desired, methods=["PUT"]),
                Route("/fake/report", self.get_report),
                Route("/fake/reports", self.get_reports),
            ]
        )


def _named(resources: list[XdsResource]) -> dict[str, XdsResource]:
    return {resource.name: resource for resource in resources}


def _address(port: int) -> Address:
    return Address(socket_address=SocketAddress(address="127.0.0.1", port_value=port))


def _cluster(port: InstancePort) -> XdsResource:
    name = f"inbound|{port.number}||"
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_address(port.application))
    )
    assignment = endpoint_pb2.ClusterLoadAssignment(
        cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])]
    )
    return encode(name, cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC, load_assignment=assignment))


def _listener(port: InstancePort) -> XdsResource:
    route = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=route_components_pb2.RouteAction(cluster=f"inbound|{port.number}||"),
    )
    routes = route_pb2.RouteConfiguration(
        name="inbound",
        virtual_hosts=[route_components_pb2.VirtualHost(name="all", domains=["*"], routes=[route])],
    )
    manager = hcm.HttpConnectionManager(
        stat_prefix=f"inbound|{port.number}||;",
        route_config=routes,
        http_filters=[hcm.HttpFilter(name="envoy.filters.http.router", typed_config=pack(router_pb2.Router()))],
    )
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name="hcm", typed_config=pack(manager))]
    )
    name = f"127.0.0.1_{port.inbound}"
    return encode(name, listener_pb2.Listener(name=name, address=_address(port.inbound), filter_chains=[chain]))


async def main(settings: Settings) -> None:
    control = FakeControl(settings)
    settings.api_socket.unlink(missing_ok=True)
    config = uvicorn.Config(control.app(), uds=str(settings.api_socket), log_level="warning", lifespan="off")
    async with serve(settings.xds_socket, Discovery(control)):
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    if "--broken" in sys.argv:
        print("2026-01-01T00:00:00Z [info] a line of the log", file=sys.stderr)
        print("mesh.yaml:3:1: error: no such kind", file=sys.stderr)
        sys.exit(1)
    asyncio.run(main(Settings.from_json(sys.argv[1])))
