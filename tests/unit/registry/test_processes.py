from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.worlds import TRUST_DOMAIN, instances_of, read
from tests.support.written import service, workload

from mizzen.mesh.model import Capture, Endpoint, Proxy
from mizzen.registry.processes import build_endpoints, build_proxies
from mizzen.registry.reports import Instance
from mizzen.registry.services import build_services
from mizzen.resources.protocols import Protocol

HOST = "a.default.svc.cluster.local"


def endpoints(*texts: str, **changes: Any) -> dict[tuple[str, int], tuple[Endpoint, ...]]:
    resources = read(*texts)
    return build_endpoints(resources, [changed(one, **changes) for one in instances_of(resources)])


def changed(instance: Instance, **changes: Any) -> Instance:
    return msgspec.structs.replace(instance, **changes)


def proxies(*texts: str, capture: str = "explicit", **changes: Any) -> dict[str, Proxy]:
    resources = read(*texts)
    instances = [changed(one, **changes) for one in instances_of(resources, capture)]
    return build_proxies(resources, instances, build_services(resources, instances, {}, TRUST_DOMAIN))


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
    found = build_endpoints(resources, reversed(instances))[HOST, 9080]
    assert found == build_endpoints(resources, instances)[HOST, 9080]
    assert [one.port for one in found] == [20001, 21001, 22001]
    assert found[0] == Endpoint("127.0.0.1", 20001, "default", "a", (("app", "a"), ("version", "v1")))


def test_labels_of_a_running_replica_count_and_not_those_of_the_workload_now() -> None:
    resources = read(service("a"), workload("a"))
    before = [changed(one, labels={"app": "earlier"}) for one in instances_of(resources)]
    assert build_endpoints(resources, before)[HOST, 9080] == ()


def test_a_sidecar_serves_a_port_as_the_service_says_that_leads_there() -> None:
    texts = [
        service("a", {"name": "grpc", "port": 80, "targetPort": "admin"}),
        workload("a", ("http", 9080), ("admin", 9090), ("odd", 9091)),
    ]
    (proxy,) = proxies(*texts).values()
    served = {port.number: port for port in proxy.inbound}
    assert (served[9090].protocol, served[9090].host, served[9090].service_port) == (Protocol.GRPC, HOST, 80)
    assert (served[9080].protocol, served[9080].host) == (Protocol.HTTP, "")
    assert served[9091].protocol == Protocol.TCP
    assert (served[9080].listen, served[9080].application) == (20001, 20000)


def test_of_two_services_for_one_port_the_first_decides() -> None:
    first = service("b", ("tcp", 9080), selector={"app": "a"})
    (proxy,) = proxies(first, service("a"), workload("a")).values()
    assert (proxy.inbound[0].protocol, proxy.inbound[0].host) == (Protocol.TCP, "b.default.svc.cluster.local")


def test_replicas_of_a_workload_that_is_gone_are_still_there() -> None:
    resources = read(service("a"), workload("a"))
    services = build_services(resources[:1], instances_of(resources), {}, TRUST_DOMAIN)
    (proxy,) = build_proxies(resources[:1], instances_of(resources), services).values()
    assert proxy.inbound[0].protocol == Protocol.HTTP
    assert [str(identity) for identity in services[HOST].identities] == ["spiffe://cluster.local/ns/default/sa/default"]


def test_what_a_proxy_is() -> None:
    (proxy,) = proxies(service("a"), workload("a", namespace="far")).values()
    assert (proxy.id, proxy.namespace, proxy.capture) == ("a-0.far", "far", Capture.EXPLICIT)
    assert proxy.labels == (("app", "a"),)
    assert [tuple(port) for port in proxy.outbound] == [(HOST, 9080, 20020)]
    assert proxy.http_proxy == 20099
    assert str(proxy.origin) == "Workload far/a"
    (proxy,) = proxies(service("a"), workload("a"), capture="transparent").values()
    assert (proxy.capture, proxy.outbound, proxy.address) == (Capture.TRANSPARENT, (), "10.99.0.2")
