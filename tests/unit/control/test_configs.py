from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.support.worlds import instances_of, read
from tests.support.written import service, workload
from tests.unit.control.conftest import OpenWorld

from mizzen.compile.resource import CLUSTER, LISTENER
from mizzen.control.configs import Configs, proxy_of
from mizzen.mesh.model import Instance, Proxy, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.registry.reports import Report
from mizzen.xds.source import Node
from mizzen.xds.status import Rejection

SIDECAR = Node("sidecar~127.0.0.1~a-0.default~default.svc.cluster.local", "sidecar", "127.0.0.1", "a-0", "default")
EMPTY = Snapshot(1, "cluster.local")


@pytest.mark.parametrize(
    ("node", "namespace"),
    [
        (Node("x", metadata={"GENERATOR": "grpc"}), "default"),
        (Node("x", agent="gRPC Python"), "default"),
        (Node("x", agent="gRPC Python", metadata={"NAMESPACE": "far"}), "far"),
        (Node("sidecar~1~c.near~d", "sidecar", "1", "c", "near", "d", agent="gRPC"), "near"),
    ],
)
def test_a_grpc_client_sees_what_its_namespace_sees(node: Node, namespace: str) -> None:
    proxy = proxy_of(node, EMPTY)
    assert proxy is not None
    assert (proxy.kind, proxy.namespace) == (ProxyKind.PROXYLESS, namespace)


def test_an_envoy_that_no_node_has_reported_waits() -> None:
    assert proxy_of(SIDECAR, EMPTY) is None


def test_an_envoy_waits_while_another_of_its_name_is_known() -> None:
    known = Proxy("a-0.default", "default", instances=(Instance("a-0.default", "default", uid="before"),))
    snapshot = dataclasses.replace(EMPTY, proxies={known.id: known})
    assert proxy_of(dataclasses.replace(SIDECAR, metadata={"UID": "before"}), snapshot) is known
    assert proxy_of(dataclasses.replace(SIDECAR, metadata={"UID": "now"}), snapshot) is None


async def test_configurations_come_from_the_latest_publication(open_world: OpenWorld) -> None:
    texts = (service("a"), workload("a"))
    async with open_world() as world:
        configs = Configs(world)
        assert configs.config(SIDECAR) is None
        async with asyncio.TaskGroup() as tasks:
            changed = tasks.create_task(configs.changed(0))
            stored = await world._stores.apply(read(*texts))
            world.put_report(Report(node="n", instances=instances_of(read(*texts))))
            published = await world.stored(stored)
        config = configs.config(SIDECAR)
        assert config is not None
        assert config.version == published.snapshot.version
        assert changed.result() <= config.version
        assert "inbound|9080||" in config.resources[CLUSTER]
        again = configs.config(SIDECAR)
        assert again is not None
        assert again.resources[LISTENER] is config.resources[LISTENER]


async def test_only_what_a_sidecar_would_be_sent_again_counts_as_rejected(open_world: OpenWorld) -> None:
    report = Report(node="n", instances=instances_of(read(service("a"), workload("a"))))
    async with open_world(report=report) as world:
        configs = Configs(world)
        config = configs.config(SIDECAR)
        assert config is not None
        name, resource = next(iter(config.resources[CLUSTER].items()))
        rejection = Rejection("a-0.default", CLUSTER, name, resource.version, "no", config.version)
        assert configs.is_current(rejection)
        assert not configs.is_current(dataclasses.replace(rejection, version="of the past"))
        assert not configs.is_current(dataclasses.replace(rejection, resource="gone"))
        assert not configs.is_current(dataclasses.replace(rejection, proxy="a grpc client"))
