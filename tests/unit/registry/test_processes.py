from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.worlds import TRUST_DOMAIN, instances_of, read
from tests.support.written import gateway, gateway_workload, server, service, workload

from mizzen.mesh import model
from mizzen.mesh.localities import Locality
from mizzen.mesh.model import Capture, Endpoint, Proxy
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.registry.processes import build_endpoints, build_proxies
from mizzen.registry.reports import Instance
from mizzen.registry.services import build_services
from mizzen.resources.protocols import Protocol

HOST = "a.default.svc.cluster.local"


def endpoints(*texts: str, **changes: Any) -> dict[tuple[str, int], tuple[Endpoint, ...]]:
    resources = read(*texts)
    return build_endpoints(resources, [changed(one, **changes) for one in instances_of(resources)], TRUST_DOMAIN)


def changed(instance: Instance, **changes: Any) -> Instance:
    return msgspec.structs.replace(instance, **changes)


def proxies(*texts: str, capture: str = "explicit", **changes: Any) -> dict[str, Proxy]:
    resources = read(*texts)
    instances = [changed(one, **changes) for one in instances_of(resources, capture)]
    services = build_services(resources, instances, {}, TRUST_DOMAIN)
    return build_proxies(resources, instances, services, TRUST_DOMAIN)


def served(*texts: str, **options: Any) -> model.Instance:
    """Returns the one instance of the only proxy."""
    (proxy,) = proxies(*texts, **options).values()
    (instance,) = proxy.instances
    return instance


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ({"port": 9080}, 20001),
        ({"port": 80, "targetPort": 9080}, 20001),
        ({"port": 80, "targetPort": "admin"}, 20003),
        ({"port": 80}, None),
        ({"port": 80, "targetPort": "unknown"}, None),
    ],
)
def test_target_ports_by_number_and_by_name(port: dict[str, Any], found: int | None) -> None:
    made = endpoints(service("a", {"name": "http", **port}), workload("a", ("http", 9080), ("admin", 9090)))
    assert [one.port for one in made[HOST, port["port"]]] == ([found] if found else [])


def test_a_service_without_workloads_or_without_a_selector_has_no_endpoints() -> None:
    assert endpoints(service("a")) == {(HOST, 9080): ()}
    assert endpoints(service("a", selector={}), workload("a")) == {(HOST, 9080): ()}


@pytest.mark.trap(35)
@pytest.mark.parametrize(
    ("port", "servers", "found"),
    [
        ({"port": 80}, [server(80)], [("127.0.0.1", 8080)]),
        ({"port": 80, "targetPort": 8080}, [server(80)], [("127.0.0.1", 8080)]),
        ({"port": 80, "targetPort": 9080}, [server(9080)], [("127.0.0.1", 9080)]),
        ({"port": 80, "targetPort": 9080}, [server(9080), server(80)], [("127.0.0.1", 8080)]),
        ({"port": 80}, [server(80, bind="127.0.0.2")], [("127.0.0.2", 8080)]),
        ({"port": 80}, [server(80, bind="0.0.0.0")], [("127.0.0.1", 8080)]),
        ({"port": 80}, [server(443, protocol="TLS", tls={"mode": "PASSTHROUGH"})], []),
        ({"port": 80}, [], []),
    ],
)
def test_a_gateways_port_is_found_by_the_port_of_its_service_then_by_the_target(
    port: dict[str, Any], servers: list[dict[str, Any]], found: list[tuple[str, int]]
) -> None:
    """Trap 35: a Gateway's port is one of the Service before the gateway."""
    way = service("ingress", {"name": "http", **port}, selector={"istio": "ingressgateway"})
    asked = [gateway("edge", *servers)] if servers else []
    made = endpoints(way, gateway_workload(), *asked)["ingress.default.svc.cluster.local", 80]
    assert [(one.address, one.port) for one in made] == found
    assert not any(one.tls for one in made)


def test_a_gateway_is_where_its_host_is() -> None:
    way = service("ingress", ("http", 80), selector={"istio": "ingressgateway"})
    made = endpoints(way, gateway_workload(), gateway("edge", server(80)), locality="eu/a")
    (one,) = made["ingress.default.svc.cluster.local", 80]
    assert one.locality == Locality("eu", "a")


def test_several_services_and_ports_may_lead_to_one_port() -> None:
    made = endpoints(
        service("a", ("http", 9080), {"name": "http-b", "port": 80, "targetPort": 9080}),
        service("b", selector={"app": "a"}),
        workload("a"),
    )
    assert len({one for (one,) in made.values()}) == 1
    assert len(made) == 3


@pytest.mark.parametrize("phase", ["Pending", "Starting", "Running", "Draining", "Stopped", "Backoff"])
@pytest.mark.parametrize("ready", [True, False])
def test_only_what_runs_and_is_ready_is_an_endpoint(phase: str, ready: bool) -> None:
    made = endpoints(service("a"), workload("a"), phase=phase, ready=ready)
    assert bool(made[HOST, 9080]) == (ready and phase == "Running")


@pytest.mark.parametrize("phase", ["Pending", "Starting", "Running", "Draining", "Stopped", "Backoff"])
def test_all_but_stopped_replicas_keep_their_proxy(phase: str) -> None:
    assert list(proxies(workload("a"), phase=phase, ready=False)) == ([] if phase == "Stopped" else ["a-0.default"])


def test_endpoints_tell_whose_they_are_and_are_sorted() -> None:
    resources = read(service("a"), workload("a", replicas=3, labels={"app": "a", "version": "v1"}))
    instances = instances_of(resources)
    found = build_endpoints(resources, reversed(instances), TRUST_DOMAIN)[HOST, 9080]
    assert found == build_endpoints(resources, instances, TRUST_DOMAIN)[HOST, 9080]
    assert [one.port for one in found] == [20001, 21001, 22001]
    assert found[0] == Endpoint(
        address="127.0.0.1",
        port=20001,
        namespace="default",
        workload="a",
        labels=(("app", "a"), ("version", "v1")),
        instance="a-0.default",
        identity="spiffe://cluster.local/ns/default/sa/default",
    )


def test_labels_of_a_running_replica_count_and_not_those_of_the_workload_now() -> None:
    resources = read(service("a"), workload("a"))
    before = [changed(one, labels={"app": "earlier"}) for one in instances_of(resources)]
    assert build_endpoints(resources, before, TRUST_DOMAIN)[HOST, 9080] == ()


def test_a_sidecar_serves_a_port_as_the_service_says_that_leads_there() -> None:
    texts = [
        service("a", {"name": "grpc", "port": 80, "targetPort": "admin"}),
        workload("a", ("http", 9080), ("admin", 9090), ("odd", 9091)),
    ]
    ports = {port.number: port for port in served(*texts).inbound}
    assert (ports[9090].protocol, ports[9090].host, ports[9090].service_port) == (Protocol.GRPC, HOST, 80)
    assert (ports[9080].protocol, ports[9080].host) == (Protocol.HTTP, "")
    assert ports[9091].protocol == Protocol.UNDECLARED
    assert (ports[9080].listen, ports[9080].application) == (20001, 20000)


def test_of_two_services_for_one_port_the_first_decides() -> None:
    first = service("b", ("tcp", 9080), selector={"app": "a"})
    port = served(first, service("a"), workload("a")).inbound[0]
    assert (port.protocol, port.host) == (Protocol.TCP, "b.default.svc.cluster.local")


def test_replicas_of_a_workload_that_is_gone_are_still_there() -> None:
    resources = read(service("a"), workload("a"))
    services = build_services(resources[:1], instances_of(resources), {}, TRUST_DOMAIN)
    (proxy,) = build_proxies(resources[:1], instances_of(resources), services, TRUST_DOMAIN).values()
    assert proxy.instances[0].inbound[0].protocol == Protocol.HTTP
    assert [str(identity) for identity in services[HOST].identities] == ["spiffe://cluster.local/ns/default/sa/default"]


def test_what_a_proxy_is() -> None:
    texts = service("a"), workload("a", namespace="far")
    (proxy,) = proxies(*texts).values()
    assert (proxy.id, proxy.namespace, proxy.kind) == ("a-0.far", "far", ProxyKind.SIDECAR)
    instance = served(*texts)
    assert (instance.id, instance.capture) == ("a-0.far", Capture.EXPLICIT)
    assert instance.identity == "spiffe://cluster.local/ns/far/sa/default"
    assert instance.labels == (("app", "a"),)
    assert [tuple(port) for port in instance.outbound] == [(HOST, 9080, 20020)]
    assert instance.http_proxy == 20099
    assert str(instance.origin) == "Workload far/a"
    instance = served(service("a"), workload("a"), capture="transparent")
    assert (instance.capture, instance.outbound, instance.address) == (Capture.TRANSPARENT, (), "10.99.0.2")


def test_a_node_proxy_serves_all_instances_that_name_it() -> None:
    (proxy,) = proxies(service("a"), workload("a", replicas=2), capture="node").values()
    assert (proxy.id, proxy.namespace, proxy.kind) == ("host.mizzen-system", "mizzen-system", ProxyKind.NODE)
    assert [one.id for one in proxy.instances] == ["a-0.default", "a-1.default"]
    assert [one.netns for one in proxy.instances] == ["/run/netns/a-0", "/run/netns/a-1"]


def test_an_instance_that_changes_its_proxy_has_both_for_a_while() -> None:
    both = ("a-0.default", "host.mizzen-system")
    found = proxies(service("a"), workload("a"), capture="node", proxies=both, closing=both[1])
    assert {name: proxy.kind for name, proxy in found.items()} == {both[0]: ProxyKind.SIDECAR, both[1]: ProxyKind.NODE}
    # A path in a sidecar's configuration would change with each start of the node, and mean nothing to it.
    assert [proxy.instances[0].netns for proxy in found.values()] == ["", "/run/netns/a-0"]
    assert [proxy.instances[0].closing for proxy in found.values()] == [False, True]
