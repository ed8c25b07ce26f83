"""Envoy's own word on everything that the golden cases compile to: one Envoy reads it all and finds nothing wrong.

``envoy --mode validate`` opens no socket and makes no connection, so all cases go into one bootstrap, as static resources
under names of their own; what would come by EDS and RDS stands inside clusters and listeners.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from tests.support.cases import Case, cases
from tests.support.decoding import decode

from mizzen.compile import connection_limits, names
from mizzen.compile.compiler import Compiler
from mizzen.compile.protos import socket_address
from mizzen.compile.rate_limits import is_slot
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, Resources, TypeUrl, pack
from mizzen.compile.tcp_filters import tcp_proxy
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.node.bootstrap import BootstrapView, bootstrap
from mizzen.node.envoy import envoy_path
from mizzen.stubs.envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration
from mizzen.stubs.envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit
from mizzen.stubs.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

pytestmark = pytest.mark.envoy


async def validated(config: Bootstrap, folder: Path) -> tuple[int, str]:
    """Returns the exit code of Envoy's validation, and what it said."""
    file = folder / "bootstrap.json"
    file.write_text(json_format.MessageToJson(config, preserving_proto_field_name=True))
    arguments = ["--mode", "validate", "-c", str(file), "--log-level", "warning", "--use-dynamic-base-id"]
    process = await asyncio.create_subprocess_exec(
        envoy_path(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def empty(folder: Path) -> Bootstrap:
    return bootstrap(
        BootstrapView(
            instance="golden-0",
            namespace="default",
            workload="golden",
            service_account="default",
            address="127.0.0.1",
            capture="explicit",
            version="0",
            trust_domain="cluster.local",
            mesh="default",
            admin_socket=folder / "admin.sock",
            xds_socket=folder / "xds.sock",
            sds_socket=folder / "sds.sock",
            kind=ProxyKind.NODE,
        )
    )


def messages(resources: Resources, type_url: TypeUrl) -> Iterator[Message]:
    return (decode(type_url, one.body) for one in resources[type_url].values())


def add(config: Bootstrap, prefix: str, resources: Resources, ports: Iterator[int], *, envoy: bool) -> None:
    """Adds what a proxy receives. What only gRPC's own client understands is left to that client."""
    static = config.static_resources
    for message in messages(resources, ROUTES):
        assert isinstance(message, RouteConfiguration)
        static.listeners.append(route_listener(prefix, message, next(ports)))
    for message in messages(resources, ENDPOINTS):
        assert isinstance(message, ClusterLoadAssignment)
        message.cluster_name = f"{prefix}: EDS {message.cluster_name}"
        static.clusters.add(name=message.cluster_name, type=Cluster.STATIC, load_assignment=message)
    if not envoy:
        return
    for message in messages(resources, CLUSTER):
        assert isinstance(message, Cluster)
        message.name = f"{prefix}: {message.name}"
        static.clusters.append(message)
    for message in messages(resources, FILTERS):
        assert isinstance(message, TypedExtensionConfig)
        static.listeners.append(filter_listener(prefix, message, next(ports)))
    for message in messages(resources, LISTENER):
        assert isinstance(message, Listener)
        message.name = f"{prefix}: {message.name}"
        if not message.HasField("internal_listener"):
            message.address.CopyFrom(socket_address("127.0.0.1", next(ports)))
        for other in message.additional_addresses:
            other.address.CopyFrom(socket_address("127.0.0.1", next(ports)))
        static.listeners.append(message)


def route_listener(prefix: str, routes: RouteConfiguration, port: int) -> Listener:
    manager = HttpConnectionManager(stat_prefix="golden", route_config=routes)
    manager.http_filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())))
    taker = Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
    return Listener(
        name=f"{prefix}: RDS {routes.name}",
        address=socket_address("127.0.0.1", port),
        filter_chains=[FilterChain(filters=[taker])],
    )


def filter_listener(prefix: str, found: TypedExtensionConfig, port: int) -> Listener:
    takers = [Filter(name=found.name, typed_config=found.typed_config)]
    if is_slot(found.name):
        takers = [http_filter(prefix, found)]
    elif connection_limits.is_slot(found.name):
        takers.append(tcp_proxy(names.BLACK_HOLE))
    return Listener(
        name=f"{prefix}: ECDS {found.name}",
        address=socket_address("127.0.0.1", port),
        filter_chains=[FilterChain(filters=takers)],
    )


def http_filter(prefix: str, found: TypedExtensionConfig) -> Filter:
    """Returns a connection manager with a filter for requests; the cluster that it asks is called as others are here."""
    asked = RateLimit()
    if found.typed_config.Is(RateLimit.DESCRIPTOR):
        found.typed_config.Unpack(asked)
        called = asked.rate_limit_service.grpc_service.envoy_grpc
        called.cluster_name = f"{prefix}: {called.cluster_name}"
        found.typed_config.CopyFrom(pack(asked))
    manager = HttpConnectionManager(stat_prefix="golden", route_config=RouteConfiguration(name="none"))
    manager.http_filters.append(HttpFilter(name=found.name, typed_config=found.typed_config))
    manager.http_filters.append(HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())))
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))


def add_case(config: Bootstrap, case: Case, ports: Iterator[int]) -> None:
    compiler = Compiler()
    for proxy in case.subjects():
        resources = compiler.compile(proxy, case.snapshot)
        add(config, f"{case.name}/{proxy.id}", resources, ports, envoy=proxy.kind is not ProxyKind.PROXYLESS)


async def test_envoy_accepts_what_all_golden_cases_compile_to(tmp_path: Path) -> None:
    config = empty(tmp_path)
    ports = itertools.count(1024)
    for case in cases():
        add_case(config, case, ports)

    code, said = await validated(config, tmp_path)

    assert code == 0, said
    assert "deprecated" not in said


async def test_a_validation_that_finds_nothing_wrong_means_something(tmp_path: Path) -> None:
    config = empty(tmp_path)
    config.static_resources.clusters.add(name=names.BLACK_HOLE).connect_timeout.FromSeconds(0)

    code, said = await validated(config, tmp_path)

    assert code != 0
    assert names.BLACK_HOLE in said or "connect_timeout" in said.lower()
