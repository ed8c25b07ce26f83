from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.support.worlds import instances_of, read, snapshot_of
from tests.support.written import (
    gateway,
    gateway_workload,
    server,
    service,
    service_entry,
    workload,
    workload_entry,
)

from mizzen.control.views import hosts_of
from mizzen.mesh.localities import Locality
from mizzen.mesh.model import Endpoint, Resolution, Service, Snapshot
from mizzen.mesh.owners import seen_services
from mizzen.registry.entries import Entries
from mizzen.resources.protocols import Protocol

HOST = "api.example.com"
INSIDE: dict[str, Any] = {"location": "MESH_INTERNAL", "resolution": "STATIC"}
ISTIO = {"security.istio.io/tlsMode": "istio"}


def world(*texts: str) -> Snapshot:
    return snapshot_of(read(*texts), "transparent")


def entry(*ports: Any, **spec: Any) -> Service:
    return world(service_entry("api", *ports, **spec)).services[HOST]


def test_each_host_is_a_service_with_the_ports_of_the_entry() -> None:
    ports = (
        {"number": 80, "name": "web", "protocol": "http"},
        {"number": 81, "name": "grpc-b"},
        {"number": 82, "name": "c"},
    )
    found = world(service_entry("api", *ports, hosts=["API.example.com", "*.b.example.com"])).services
    assert list(found) == ["*.b.example.com", HOST]
    one = found[HOST]
    assert [port.protocol for port in one.ports] == [Protocol.HTTP, Protocol.GRPC, Protocol.UNDECLARED]
    assert (one.name, one.namespace, one.entry, one.external) == (HOST, "default", True, True)


@pytest.mark.parametrize(
    ("resolution", "meant"),
    [("NONE", Resolution.DIALLED), ("DNS", Resolution.DNS), ("DNS_ROUND_ROBIN", Resolution.DNS_ROUND_ROBIN)],
)
def test_where_endpoints_are_found(resolution: str, meant: Resolution) -> None:
    assert entry(resolution=resolution).resolution is meant


def test_without_endpoints_the_host_itself_is_looked_up() -> None:
    port = {"number": 80, "name": "http", "targetPort": 443}
    assert entry(port, resolution="DNS").named == ((80, Endpoint(HOST, 443, "default", tls=False)),)
    endpoints = [{"address": "B.example.com"}, {"address": "a.example.com", "ports": {"http": 8080}, "weight": 5}]
    named = entry(port, resolution="DNS", endpoints=endpoints).named
    assert [(one.address, one.port, one.weight) for _, one in named] == [
        ("a.example.com", 8080, 5),
        ("b.example.com", 443, 1),
    ]


@pytest.mark.parametrize(
    ("spec", "automatic"),
    [
        ({"resolution": "DNS"}, True),
        ({"resolution": "NONE"}, False),
        ({"resolution": "DNS", "addresses": ["192.0.2.1"]}, False),
        ({"resolution": "DNS", "labels": {"networking.istio.io/enable-autoallocate-ip": "false"}}, False),
        ({"hosts": ["*.example.com"], "resolution": "DNS", "endpoints": [{"address": "a.example.com"}]}, False),
    ],
)
def test_what_is_looked_up_by_name_gets_a_virtual_address(spec: dict[str, Any], automatic: bool) -> None:
    resources = read(service_entry("api", **spec))
    assert bool(hosts_of(resources)) == automatic
    (one,) = snapshot_of(resources).services.values()
    assert one.address.startswith("240.240.") == automatic
    assert one.callable_by_name == (automatic or "addresses" in spec)


def test_addresses_that_are_written_are_its_own_and_a_subnet_answers_no_name() -> None:
    one = entry(addresses=["198.51.100.0/24", "192.0.2.1"])
    assert (one.address, one.addresses) == ("192.0.2.1", ("198.51.100.0/24", "192.0.2.1"))


def test_told_endpoints_speak_the_meshs_tls_if_their_labels_say_so() -> None:
    endpoints = [
        {"address": "192.0.2.1", "labels": ISTIO, "serviceAccount": "a"},
        {"address": "192.0.2.2", "serviceAccount": "b"},
    ]
    made = world(service_entry("api", endpoints=endpoints, **INSIDE))
    assert [(one.address, one.tls) for one in made.endpoints[HOST, 80]] == [("192.0.2.1", True), ("192.0.2.2", False)]
    identities = [f"spiffe://cluster.local/ns/default/sa/{name}" for name in "ab"]
    assert [str(one) for one in made.services[HOST].identities] == identities
    outside = world(service_entry("api", resolution="STATIC", endpoints=endpoints))
    assert not outside.services[HOST].identities


def test_an_entry_selects_running_workloads_of_its_namespace() -> None:
    selecting = service_entry("api", ("HTTP", 9080), workloadSelector={"labels": {"app": "web"}}, **INSIDE)
    made = world(selecting, workload("web", serviceAccount="web"), workload("web", namespace="far"))
    (one,) = made.endpoints[HOST, 9080]
    assert (one.workload, one.namespace, one.port, one.tls) == ("web", "default", 9080, True)
    assert [one.service_account for one in made.services[HOST].identities] == ["web"]


def test_what_is_reached_past_its_proxy_is_an_endpoint_of_an_entry_too() -> None:
    resources = read(service_entry("api", ("HTTP", 9080), workloadSelector={"labels": {"app": "web"}}, **INSIDE))
    (running,) = instances_of(read(workload("web")))
    bypassed = msgspec.structs.replace(running, ready=False, phase="Draining", bypassed=True)
    entries = Entries(resources, [bypassed], "cluster.local")
    ((one,),) = entries.endpoints(entries.services({})).values()
    assert (one.workload, one.tls) == ("web", False)


def test_an_entry_leads_to_the_servers_of_a_gateway_that_it_selects() -> None:
    selecting = service_entry("api", workloadSelector={"labels": {"istio": "ingressgateway"}}, **INSIDE)
    made = world(selecting, gateway_workload(), gateway("edge", server(80)))
    assert [(one.workload, one.port, one.tls) for one in made.endpoints[HOST, 80]] == [("ingress", 8080, False)]


def test_a_host_has_one_owner() -> None:
    both = service_entry("api", hosts=["web.default.svc.cluster.local", HOST], resolution="DNS")
    later = service_entry("later", ("HTTP", 81), hosts=[HOST], resolution="DNS")
    found = world(service("web"), both, later).services
    assert not found["web.default.svc.cluster.local"].entry
    assert [port.number for port in found[HOST].ports] == [80]


WEB = "web.default.svc.cluster.local"
PRIVATE_WEB = service("web", ("http", 443)).replace(
    "  name: web", '  name: web\n  annotations: {networking.istio.io/exportTo: "."}'
)


def test_a_namespaces_own_service_and_an_entry_have_one_host() -> None:
    entry = service_entry(
        "web", {"number": 80, "name": "http", "targetPort": 443}, hosts=[WEB], namespace="far", resolution="DNS"
    )
    made = world(PRIVATE_WEB, entry, workload("web", ("http", 443)))
    assert [(one, service.namespace, service.entry) for one, service in made.services.items()] == [
        (f"default/{WEB}", "default", False),
        (WEB, "far", True),
    ]
    assert seen_services(made, "default")[WEB].namespace == "default"
    assert seen_services(made, "far")[WEB].namespace == "far"
    # Its name is that of a Service, so there is nothing to look up.
    assert made.services[WEB].resolution is Resolution.TOLD
    assert made.endpoints[WEB, 80] == made.endpoints[f"default/{WEB}", 443]
    assert made.endpoints[WEB, 80]


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN"])
@pytest.mark.parametrize("name", [WEB, f"{WEB}."])
def test_endpoints_with_names_of_services_are_theirs(resolution: str, name: str) -> None:
    web = {"address": name, "ports": {"http-80": 9080}, "labels": {"v": "1"}, "weight": 3, "locality": "a/b"}
    more = [{"address": "192.0.2.1"}] if resolution == "DNS" else []
    made = world(
        service("web"),
        workload("web", serviceAccount="web"),
        service_entry("api", resolution=resolution, endpoints=[web, *more], location="MESH_INTERNAL"),
    )
    found = made.endpoints[HOST, 80]
    assert found[0]._replace(address="", instance="", port=0) == made.endpoints[WEB, 9080][0]._replace(
        address="", instance="", port=0, labels=(("v", "1"),), weight=3, locality=Locality("a", "b", "")
    )
    assert [one.address for one in found[1:]] == [one["address"] for one in more]
    assert [one.service_account for one in made.services[HOST].identities] == ["web"]
    assert made.services[HOST].named == ()


def test_names_outside_the_mesh_are_looked_up_all_together() -> None:
    endpoints = [{"address": WEB}, {"address": "b.example.com"}]
    made = world(service("web"), service_entry("api", resolution="DNS", endpoints=endpoints))
    assert made.services[HOST].resolution is Resolution.DNS
    assert [one.address for _, one in made.services[HOST].named] == ["b.example.com", WEB]
    assert (HOST, 80) not in made.endpoints


def test_instances_are_only_looked_through_by_who_selects() -> None:
    resources = read(service_entry("api"), workload("web"))
    assert Entries(resources, instances_of(resources), "cluster.local").services({})[HOST].named == ()


def test_an_entry_selects_workload_entries_by_both_of_their_labels() -> None:
    selecting = service_entry("api", workloadSelector={"labels": {"app": "db", "tier": "a"}}, **INSIDE)
    made = world(selecting, written("one", {"app": "db"}, {"app": "x", "tier": "a"}), written("two", {"app": "db"}, {}))
    assert [one.address for one in made.endpoints[HOST, 80]] == ["192.0.2.9"]


def written(name: str, metadata: dict[str, str], spec: dict[str, str]) -> str:
    text = workload_entry(name, "192.0.2.9", labels=metadata)
    return text.rstrip() + "\n  labels: " + json.dumps(spec) + "\n"


def test_names_are_looked_up_wherever_they_are_written() -> None:
    selecting = service_entry("api", workloadSelector={"labels": {"app": "db"}}, resolution="DNS")
    made = world(selecting, workload_entry("db", "DB.example.com", ports={"http-80": 5432}))
    assert [(one.address, one.port) for _, one in made.services[HOST].named] == [("db.example.com", 5432)]


@pytest.mark.parametrize(
    ("port", "ports", "number"),
    [
        ({"name": "http", "port": 80}, {}, 80),
        ({"name": "http", "port": 80, "targetPort": 8080}, {}, 8080),
        ({"name": "http", "port": 80, "targetPort": 8080}, {"http": 81}, 81),
        ({"name": "http", "port": 80, "targetPort": "web"}, {"web": 82}, 82),
        ({"name": "http", "port": 80, "targetPort": "web"}, {}, None),
    ],
)
def test_a_service_selects_workload_entries_with_addresses(
    port: dict[str, Any], ports: dict[str, int], number: int | None
) -> None:
    entries = (
        workload_entry("db", "192.0.2.1", ports=ports, serviceAccount="db"),
        workload_entry("far", "192.0.2.2", "far"),
    )
    made = world(service("db", port), *entries, workload_entry("named", "db.example.com", labels={"app": "db"}))
    host = "db.default.svc.cluster.local"
    assert [(one.address, one.port, one.tls) for one in made.endpoints[host, 80]] == (
        [("192.0.2.1", number, False)] if number else []
    )
    assert [one.service_account for one in made.services[host].identities] == ["db"]
