"""What is said of ServiceEntries among other resources."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import (
    destination_rule,
    service,
    service_entry,
    subset,
    to,
    virtual_service,
    workload,
    workload_entry,
)

from mizzen.resources.problems import Level
from mizzen.resources.references import check_references

HOST = "api.example.com"
API = service_entry("api", resolution="DNS")


def said(*texts: str) -> list[str]:
    return [f"{one.level} {one.code} {one.resource} {one.path}" for one in check_references(read(*texts))]


@pytest.mark.parametrize(
    "other",
    [
        service_entry("other", hosts=["API.example.com"], resolution="DNS"),
        service_entry("api", namespace="far", resolution="DNS"),
    ],
)
def test_a_host_has_one_owner(other: str) -> None:
    (found,) = said(API, other)
    assert found.startswith("error HostOwned ServiceEntry ")
    assert found.endswith(" spec.hosts[0]")


def test_a_services_host_is_its_own() -> None:
    entry = service_entry("api", hosts=["web.default.svc.cluster.local"], resolution="DNS")
    assert said(entry, service("web"), workload("web")) == ["error HostOwned ServiceEntry default/api spec.hosts[0]"]


@pytest.mark.parametrize(
    ("exported", "entry", "refused"),
    [
        pytest.param(".", {"namespace": "far"}, False, id="another meaning elsewhere"),
        pytest.param(".", {"namespace": "far", "exportTo": ["."]}, False, id="a private meaning elsewhere"),
        pytest.param(".", {"namespace": "default", "exportTo": ["."]}, True, id="both are seen by one namespace"),
        pytest.param(
            ".", {"namespace": "far", "exportTo": ["default"]}, True, id="where it is seen the Service hides it"
        ),
        pytest.param("*", {"namespace": "far", "exportTo": ["."]}, True, id="the Service is seen everywhere"),
        pytest.param("far", {"namespace": "far"}, True, id="not seen in its own namespace"),
    ],
)
def test_a_namespace_may_have_a_service_of_its_own_by_a_host_that_is_anothers_elsewhere(
    exported: str, entry: dict[str, Any], refused: bool
) -> None:
    own = service("web", ("tcp", 80)).replace(
        "  name: web", f'  name: web\n  annotations: {{networking.istio.io/exportTo: "{exported}"}}'
    )
    other = service_entry("web", hosts=["web.default.svc.cluster.local"], resolution="DNS", **entry)
    found = [one for one in said(own, other, workload("web", ("tcp", 80))) if "HostOwned" in one]
    assert bool(found) == refused


def test_two_entries_of_one_host_are_told_apart_by_who_sees_them() -> None:
    near = service_entry("near", hosts=[HOST], resolution="DNS", exportTo=["."])
    assert said(near, service_entry("far", hosts=[HOST], resolution="DNS", namespace="far")) == []


def test_routes_are_checked_against_the_service_that_their_namespace_sees() -> None:
    own = service_entry("own", ("HTTP", 80), hosts=[HOST], resolution="DNS", exportTo=["."], namespace="far")
    others = service_entry("others", ("HTTP", 81), hosts=[HOST], resolution="DNS")
    to_81 = {"route": [{"destination": {"host": HOST, "port": {"number": 81}}}]}
    assert said(own, others, virtual_service("a", to_81, hosts=[HOST])) == []
    assert said(own, others, virtual_service("a", to_81, hosts=[HOST], namespace="far")) == [
        "error IST0101 VirtualService far/a spec.http[0].route[0].destination.port.number"
    ]


def test_names_of_services_lead_to_their_ports() -> None:
    web = "web.default.svc.cluster.local"
    texts = service("web", ("http", 90)), workload("web", ("http", 90))
    endpoints = [{"address": web, "ports": {"http-80": 90}}]
    assert said(service_entry("api", resolution="DNS", endpoints=endpoints), *texts) == []
    (found,) = said(service_entry("api", resolution="DNS", endpoints=[{"address": web}]), *texts)
    assert found == "warning IST0101 ServiceEntry default/api spec.endpoints[0]"
    endpoints.append({"address": "elsewhere.example.com"})
    (found,) = said(service_entry("api", resolution="DNS", endpoints=endpoints), *texts)
    assert found == "warning NamedService ServiceEntry default/api spec.endpoints[0]"


def test_rules_and_routes_know_its_hosts_ports_and_subsets() -> None:
    endpoints = [{"address": "192.0.2.1", "labels": {"version": "v1"}}]
    entry = service_entry("api", resolution="STATIC", endpoints=endpoints)
    rule = destination_rule("api", host=HOST, subsets=[subset("v1"), subset("v2")])
    route = virtual_service("api", to(HOST, "v1"), hosts=[HOST])
    assert said(entry, rule, route) == ["warning IST0173 DestinationRule default/api spec.subsets[1]"]
    wrong = {"route": [{"destination": {"host": HOST, "port": {"number": 81}}}]}
    assert said(entry, virtual_service("api", wrong, hosts=[HOST])) == [
        "error IST0101 VirtualService default/api spec.http[0].route[0].destination.port.number"
    ]


def test_tls_towards_it_is_nobodys_concern() -> None:
    rule = destination_rule("api", host=HOST, trafficPolicy={"tls": {"mode": "SIMPLE"}})
    assert said(API, rule) == []


def test_one_takes_all_connections_to_a_port() -> None:
    taking = service_entry("all", ("TCP", 90))
    warned = "warning IST0134 ServiceEntry default/all spec.ports[0]"
    assert said(taking) == [warned]
    assert said(service_entry("all", ("TCP", 90), addresses=["192.0.2.1"])) == []
    assert said(service_entry("all", ("TCP", 90), resolution="DNS")) == []
    assert said(taking, service_entry("more", ("TCP", 90))) == [
        warned,
        "error PortTaken ServiceEntry default/more spec.ports[0]",
    ]


@pytest.mark.trap(33)
def test_requests_and_bytes_on_one_port_are_told_apart_and_that_is_said() -> None:
    (warned, *_) = check_references(read(service_entry("all", ("TCP", 90)), service("web", ("http", 90))))
    assert (warned.level, warned.code) == (Level.WARNING, "IST0134")
    assert (
        "unless they begin with a request, for Service default/web at test-1.yaml:10:3 has the port too"
        in warned.message
    )
    assert "clients wait 1 s" in warned.message


def test_routes_must_suit_its_ports() -> None:
    entry = service_entry("api", ("TCP", 90), resolution="DNS")
    (found,) = check_references(read(entry, virtual_service("api", hosts=[HOST])))
    assert found.code == "HTTPRouteForTCPPort"
    assert "`protocol`" in found.hint


def test_a_selector_that_picks_nothing() -> None:
    entry = service_entry("api", resolution="STATIC", workloadSelector={"labels": {"app": "web"}})
    assert said(entry) == ["warning NoWorkload ServiceEntry default/api spec.workloadSelector"]
    assert said(entry, workload("web")) == []


def test_workload_entries_are_behind_services_too() -> None:
    rule = destination_rule("web", subsets=[subset("v1")], trafficPolicy={"tls": {"mode": "DISABLE"}})
    assert said(service("web"), workload_entry("web", "192.0.2.1", labels={"app": "web", "version": "v1"}), rule) == []
    entry = service_entry("api", resolution="STATIC", workloadSelector={"labels": {"app": "web"}})
    assert said(entry, workload_entry("web", "192.0.2.1")) == []


def test_names_are_looked_up_only_for_entries_that_say_so() -> None:
    named = workload_entry("web", "web.example.com")
    selecting: dict[str, Any] = {"workloadSelector": {"labels": {"app": "web"}}}
    refused = ["error NamedAddress WorkloadEntry default/web spec.address"]
    assert said(service("web"), named) == refused
    assert said(service_entry("api", resolution="STATIC", **selecting), named) == refused
    assert said(service_entry("api", resolution="DNS", **selecting), named) == []


def test_bytes_to_an_address_are_for_one_and_tls_is_told_apart_by_names() -> None:
    at: dict[str, Any] = {"addresses": ["192.0.2.1"]}
    entries = [
        service_entry(f"{kind.lower()}-{number}", (kind, 90), **at) for kind in ("TCP", "TLS") for number in "ab"
    ]
    taken = "error PortTaken ServiceEntry default/{} spec.ports[0]"
    assert said(*entries[:2]) == [taken.format("tcp-b")]
    assert said(*entries[2:]) == []
    assert said(entries[0], entries[2]) == [taken.format("tls-a")]
    assert said(service_entry("a", ("HTTP", 90), **at), service_entry("b", ("HTTP", 90), **at)) == []
