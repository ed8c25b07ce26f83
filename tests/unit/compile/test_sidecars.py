from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.support.compiled import Compiled, all_proxies, compiled
from tests.support.worlds import NODE_PROXY, read, snapshot_of
from tests.support.written import (
    destination_rule,
    gateway_workload,
    mesh_config,
    service,
    sidecar,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, Resources
from mizzen.mesh.model import Snapshot
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TrafficDirection
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener

PORT = {"number": 9080, "protocol": "HTTP", "name": "http"}
WORLD = (
    service("near"),
    service("far", ("http", 9080), ("tcp", 9081), namespace="far"),
    workload("client"),
    workload("other"),
    workload("near"),
    workload("far", ("http", 9080), ("tcp", 9081), namespace="far"),
)
CAPTURES = ("explicit", "transparent", "node")


def outbound(found: Compiled) -> list[str]:
    return [name.rpartition("outbound|")[2] for name in found.clusters if "outbound|" in name]


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_a_proxy_has_the_clusters_endpoints_and_routes_of_what_its_workload_may_call(capture: str) -> None:
    found = compiled(*WORLD, sidecar("./*", "istio-system/*"), capture=capture)
    assert outbound(found) == ["9080||near.default.svc.cluster.local"]
    assert list(found.endpoints) == ["outbound|9080||near.default.svc.cluster.local"]
    hosts = {host for name in found.routes for host in found.hosts(name)}
    assert hosts == {"near.default.svc.cluster.local:9080", "allow_any"}
    assert not any("9081" in name for name in found.listeners)


@pytest.mark.parametrize("capture", CAPTURES)
def test_each_instance_obeys_its_own_sidecar(capture: str) -> None:
    texts = (*WORLD, sidecar("./*", workloadSelector={"labels": {"app": "client"}}), sidecar("far/*", name="b"))
    snapshot = snapshot_of(read(*texts), capture)
    found = all_proxies(Compiler(), snapshot)
    clusters = [name for id_, given in found.items() for name in _owned(given, id_) if "outbound|9080" in name]
    assert {name.partition("outbound")[2] for name in clusters if name.startswith("client-0.default")} == {
        "|9080||near.default.svc.cluster.local"
    }
    assert {name.partition("outbound")[2] for name in clusters if name.startswith("other-0.default")} == {
        "|9080||far.far.svc.cluster.local"
    }
    assert len({name for name in clusters if name.startswith("far-0.far")}) == 2


def _owned(given: Resources, proxy: str) -> list[str]:
    """Returns the names of a proxy's clusters, with the instance that has them before them."""
    return [name if "/" in name else f"{proxy}/{name}" for name in given[CLUSTER]]


def test_gateways_obey_no_sidecar() -> None:
    found = compiled(*WORLD, gateway_workload(), sidecar("~/*"), proxy="ingress-0.default")
    assert len(outbound(found)) == 3


def test_a_grpc_client_sees_what_its_namespace_may_call() -> None:
    snapshot = snapshot_of(read(*WORLD, sidecar("./*")))
    given = all_proxies(Compiler(), snapshot)["grpc.default"]
    assert list(given[LISTENER]) == ["near.default.svc.cluster.local:9080"]


def test_where_routes_lead_there_is_a_cluster_and_no_name() -> None:
    route = virtual_service("near", to("far.far.svc.cluster.local"))
    found = compiled(*WORLD, sidecar("./*"), route)
    assert found.cluster_of("9080", "near.default.svc.cluster.local:9080") == [
        "outbound|9080||far.far.svc.cluster.local"
    ]
    assert "outbound|9080||far.far.svc.cluster.local" in found.endpoints
    assert list(found.hosts("9080")) == ["near.default.svc.cluster.local:9080", "allow_any"]


@pytest.mark.parametrize("capture", ["explicit", "transparent"])
def test_a_forward_proxy_leads_to_ports_that_declare_no_protocol(capture: str) -> None:
    port = {"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "proxy"}, "hosts": ["./*"]}
    found = compiled(*WORLD, service("plain", ("api", 9100)), sidecar(port, "far/*"), capture=capture)
    assert found.cluster_of("3128", "plain.default.svc.cluster.local:9100") == [
        "outbound|9100||plain.default.svc.cluster.local"
    ]
    assert "outbound|9100||plain.default.svc.cluster.local" in found.clusters


CHANGES = {
    "service": service("far", ("http", 9080), ("tcp", 9082), namespace="far"),
    "new service": service("new", namespace="far"),
    "route": virtual_service("far", {"directResponse": {"status": 200}}, namespace="far"),
    "rule": destination_rule("far", namespace="far", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}),
    "endpoint": workload("far", ("http", 9080), ("tcp", 9081), namespace="far", replicas=2),
    "other sidecar": sidecar("./*", namespace="far"),
}


def later(before: Snapshot, now: Snapshot) -> Snapshot:
    """Returns a snapshot as the world makes it: what is as before is the same object."""
    services = before.services if before.services == now.services else now.services
    return dataclasses.replace(now, version=2, services=services)


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_a_proxy_does_not_see_is_neither_sent_nor_compiled_for_it(change: str, capture: str) -> None:
    texts = [*WORLD, virtual_service("far", namespace="far"), sidecar("./*")]
    before = snapshot_of(read(*texts), capture)
    key = read(CHANGES[change])[0].key
    changed = [text for text in texts if read(text)[0].key != key] + [CHANGES[change]]
    now = later(before, snapshot_of(read(*changed), capture))
    compiler = Compiler()
    proxies = ("host.mizzen-system",) if capture == "node" else ("client-0.default", "far-0.far")
    first = {name: compiler.compile(before.proxies[name], before) for name in proxies}
    narrowed = next(one for key, one in compiler._outbounds._outbound.items() if key[1] is not None)
    second = {name: compiler.compile(now.proxies[name], now) for name in proxies}
    assert any(one is narrowed for one in compiler._outbounds._outbound.values())
    if capture != "node":
        assert all(
            second["client-0.default"][kind] is first["client-0.default"][kind] for kind in first["client-0.default"]
        )
        assert second["far-0.far"] is not first["far-0.far"]
    for name in proxies:
        for kind, named in first[name].items():
            own = {one: body for one, body in named.items() if "far-0" not in one or capture != "node"}
            if name != "far-0.far":
                assert {one: second[name][kind].get(one) for one in own} == own


def test_a_changed_route_is_led_on_without_looking_at_the_mesh_again(monkeypatch: pytest.MonkeyPatch) -> None:
    port = {"port": PORT, "hosts": ["./near.default.svc.cluster.local"]}
    texts = [*WORLD, virtual_service("near", {"directResponse": {"status": 200}}), sidecar(port, "./*")]
    before = snapshot_of(read(*texts), "transparent")
    changed = virtual_service("near", {"directResponse": {"status": 201}})
    now = later(
        before, snapshot_of(read(*(changed if "directResponse" in one else one for one in texts)), "transparent")
    )
    compiler, fresh = Compiler(), Compiler()
    compiler.compile(before.proxies["client-0.default"], before)
    expected = fresh.compile(now.proxies["client-0.default"], now)
    monkeypatch.setattr("mizzen.compile.callers.narrowed_scope", _never)
    assert compiler.compile(now.proxies["client-0.default"], now) == expected


def _never(*_: Any) -> Any:
    raise AssertionError("looked at the whole mesh")


def test_a_route_that_leads_to_another_service_brings_its_cluster() -> None:
    texts = [*WORLD, sidecar("./*")]
    compiler = Compiler()
    found: list[Resources] = []
    for host in ("near", "far.far.svc.cluster.local", "near"):
        snapshot = snapshot_of(read(*texts, virtual_service("near", to(host))), "transparent", version=len(found) + 1)
        found.append(compiler.compile(snapshot.proxies["client-0.default"], snapshot))
    names = [sum("outbound|9080||far" in name for name in one[CLUSTER]) for one in found]
    assert names == [0, 1, 0]
    assert [set(one[ENDPOINTS]) - set(one[CLUSTER]) for one in found] == [set(), set(), set()]


@pytest.mark.parametrize("capture", CAPTURES)
def test_one_that_has_run_gives_the_same_as_a_new_one(capture: str) -> None:
    port = {"port": PORT, "hosts": ["*/near.default.svc.cluster.local"]}
    states = [
        [],
        [sidecar("./*")],
        [sidecar(port, "far/*")],
        [sidecar({**port, "hosts": ["*/*"]}, "far/*"), virtual_service("near", to("far.far.svc.cluster.local"))],
        [sidecar({**port, "captureMode": "NONE"})],
        [
            sidecar({**port, "bind": "127.0.0.2"}),
            sidecar("*/*", name="a", workloadSelector={"labels": {"app": "client"}}),
        ],
        [],
    ]
    compiler = Compiler()
    for version, texts in enumerate(states, start=1):
        snapshot = snapshot_of(read(*WORLD, *texts), capture, version=version)
        assert all_proxies(compiler, snapshot) == all_proxies(Compiler(), snapshot)


@pytest.mark.trap(12)
@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ({}, 1),
        ({"whole": 2}, 2),
        ({"ingress": 3}, 3),
        ({"whole": 2, "ingress": 3}, 3),
        ({"port": 4}, 4),
        ({"port": 4, "whole": 2}, 2),
    ],
)
def test_whose_connection_pool_an_inbound_cluster_has(pools: dict[str, int], expected: int) -> None:
    def pool(most: int) -> dict[str, Any]:
        return {"connectionPool": {"tcp": {"maxConnections": most}}}

    spec: dict[str, Any] = {"ingress": [{"port": PORT} | (pool(pools["ingress"]) if "ingress" in pools else {})]}
    if "whole" in pools:
        spec["inboundConnectionPool"] = pool(pools["whole"])["connectionPool"]
    policy = pool(1)
    if "port" in pools:
        policy["portLevelSettings"] = [{"port": {"number": 9080}, **pool(pools["port"])}]
    found = compiled(*WORLD, destination_rule("near", trafficPolicy=policy), sidecar(**spec), proxy="near-0.default")
    thresholds = found.clusters["inbound|9080||"].circuit_breakers.thresholds
    assert [one.max_connections.value for one in thresholds] == [expected]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("", ("127.0.0.1", 9080)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        (":1", ("127.0.0.1", 1)),
        ("[::1]:1", ("::1", 1)),
        ("0.0.0.0:1", ("10.99.0.4", 1)),
        ("[::]:1", ("10.99.0.4", 1)),
        ("unix:///run/a.sock", ("/run/a.sock", 0)),
        ("unix:@a", ("@a", 0)),
    ],
)
def test_where_the_application_is(endpoint: str, expected: tuple[str, int]) -> None:
    listener = {"port": PORT} | ({"defaultEndpoint": endpoint} if endpoint else {})
    found = compiled(*WORLD, sidecar(ingress=[listener]), proxy="near-0.default")
    (locality,) = found.clusters["inbound|9080||"].load_assignment.endpoints
    address = locality.lb_endpoints[0].endpoint.address
    where = address.socket_address
    assert (address.pipe.path or where.address, where.port_value) == expected


def test_ports_without_a_listener_are_served_as_they_are_declared() -> None:
    found = compiled(*WORLD, sidecar(ingress=[{"port": {**PORT, "number": 9085}}]), proxy="near-0.default")
    matches = [
        chain.filter_chain_match.destination_port.value for chain in found.listeners["virtualInbound"].filter_chains
    ]
    assert matches == [9080, 9085]


def test_two_of_one_host_never_share_a_socket_that_a_sidecar_opens() -> None:
    egress = {"port": PORT, "captureMode": "NONE", "hosts": ["*/*"]}
    ingress = {"port": {**PORT, "number": 9090}, "captureMode": "NONE", "defaultEndpoint": "127.0.0.1:1"}
    for capture, exclusive in (("explicit", True), ("transparent", False)):
        found = compiled(*WORLD, sidecar(egress, ingress=[ingress]), capture=capture)
        address = "127.0.0.1" if exclusive else "10.99.0.2"
        opened = [found.listeners["127.0.0.1_9080"], found.listeners[f"{address}_9090"]]
        assert [one.HasField("enable_reuse_port") for one in opened] == [exclusive, exclusive]


@pytest.mark.parametrize("capture", CAPTURES)
def test_who_shapes_the_listeners_of_a_workloads_ports_is_told_with_them(capture: str) -> None:
    retries = {"attempts": 1, "retryOn": "reset-before-request"}
    written = {
        "Sidecar": sidecar(ingress=[{"port": PORT}]),
        "MeshConfig": mesh_config(defaultInboundHttpRetryPolicy=retries),
    }

    def origins(*texts: str) -> set[str]:
        snapshot = snapshot_of(read(*WORLD, *texts), capture)
        given = all_proxies(Compiler(), snapshot)[NODE_PROXY if capture == "node" else "near-0.default"]
        found = {
            key.kind
            for name, one in given[LISTENER].items()
            if Listener.FromString(one.body).traffic_direction == TrafficDirection.INBOUND
            and (capture != "node" or name.startswith("near-0.default/"))
            for key in one.origins
        }
        return found - {"Workload"}

    assert origins() == origins(sidecar("./*"), mesh_config(connectTimeout="3s")) == set()
    assert origins(written["Sidecar"]) == {"Sidecar"}
    assert origins(*written.values()) == {"Sidecar", "MeshConfig"}


def test_a_port_that_only_a_sidecar_knows_has_one_socket() -> None:
    ingress = {"port": {**PORT, "number": 9090}, "bind": "127.0.0.9", "defaultEndpoint": "127.0.0.1:1"}
    found = compiled(*WORLD, sidecar(ingress=[ingress]), capture="explicit").listeners
    assert [name for name in found if name.endswith("_9090")] == ["127.0.0.9_9090"]


@pytest.mark.parametrize("bind", [{}, {"bind": "0.0.0.0"}])
def test_a_port_that_is_opened_takes_no_place_of_services_on_it(bind: dict[str, Any]) -> None:
    ingress = {"port": PORT, "captureMode": "NONE", "defaultEndpoint": "127.0.0.1:1", **bind}
    found = compiled(*WORLD, sidecar(ingress=[ingress]), capture="transparent").listeners
    assert found["0.0.0.0_9080"].traffic_direction == TrafficDirection.OUTBOUND
    opened = found["10.99.0.2_9080"]
    assert opened.traffic_direction == TrafficDirection.INBOUND
    assert not opened.HasField("bind_to_port")


@pytest.mark.trap(21)
def test_what_nobody_knows_goes_nowhere_or_to_the_egress_proxy() -> None:
    proxy = {"host": "far.far.svc.cluster.local", "port": {"number": 9081}}
    cases = {
        "PassthroughCluster": {"mode": "ALLOW_ANY"},
        "outbound|9081||far.far.svc.cluster.local": {"mode": "ALLOW_ANY", "egressProxy": proxy},
        "": {"mode": "REGISTRY_ONLY"},
    }
    for cluster, policy in cases.items():
        found = compiled(*WORLD, sidecar("./*", outboundTrafficPolicy=policy))
        rest = "allow_any" if cluster else "block_all"
        (route,) = found.routes_of("9080", rest)
        assert route.route.cluster == cluster
        assert cluster or route.direct_response.status == 502
        elsewhere = found.filters["virtualOutbound-catchall-tcp"].typed_config.value
        assert (cluster or "BlackHoleCluster").encode() in elsewhere
