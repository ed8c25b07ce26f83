"""Gateways among each other, and what the cross-checks say of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import gateway, gateway_workload, server, service, to, virtual_service, workload

from mizzen.resources.gateway_names import gateway_name
from mizzen.resources.references import check_references

SHOP = (service("a"), workload("a"), gateway_workload())


def said(*texts: str) -> list[str]:
    return [f"{one.level}: {one.resource}: {one.code}: {one.message}" for one in check_references(read(*texts))]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("edge", "shop/edge"),
        ("./edge", "shop/edge"),
        ("other/edge", "other/edge"),
        ("mesh", "mesh"),
        ("edge.other.svc.cluster.local", "other/edge"),
    ],
)
def test_the_names_of_gateways(written: str, name: str) -> None:
    assert gateway_name(written, "shop") == name


def test_what_fits_together_is_right() -> None:
    route = virtual_service("a", to("a"), hosts=["a.example.com"], gateways=["edge"])
    assert said(*SHOP, gateway("edge", server(80, "*.example.com")), route) == []


def test_a_gateway_that_nobody_runs_is_a_warning_that_says_what_to_write() -> None:
    (problem,) = check_references(read(gateway("edge", server())))
    assert problem.level == "warning"
    assert problem.message == "no gateway with the labels istio: ingressgateway runs"
    assert "labels: {istio: ingressgateway}" in problem.hint


def test_a_gateway_that_is_not_there_and_hosts_that_no_server_has() -> None:
    assert said(
        *SHOP,
        gateway("edge", server(80, "shop/*", "*.example.com")),
        virtual_service("a", to("a"), hosts=["a.example.org", "b.example.com"], gateways=["edge", "egde"]),
    ) == [
        "warning: VirtualService default/a: IST0132: no server of Gateway default/edge has the host a.example.org",
        "warning: VirtualService default/a: IST0101: gateway not found: default/egde",
    ]
    hint = check_references(read(*SHOP, gateway("edge", server()), virtual_service("a", gateways=["egde", "mesh"])))
    assert [one.hint for one in hint] == ["did you mean `default/edge`?"]


def test_virtual_services_of_gateways_may_share_a_host() -> None:
    routes = [virtual_service(name, to("a"), hosts=["a"], gateways=["edge"]) for name in ("one", "two")]
    assert said(*SHOP, gateway("edge", server()), *routes) == []


def test_a_service_may_stand_before_a_gateway() -> None:
    ingress = service("ingress", ("http", 80), selector={"istio": "ingressgateway"})
    assert said(*SHOP, gateway("edge", server()), ingress) == []


def conflicts(*servers: dict[str, Any]) -> list[str]:
    gateways = [gateway(f"g{number}", one) for number, one in enumerate(servers)]
    return [problem.message for problem in check_references(read(*SHOP, *gateways)) if problem.level == "error"]


@pytest.mark.trap(35)
def test_servers_that_cannot_share_a_port_are_an_error_of_the_later_one() -> None:
    passing = server(80, "a.example.com", protocol="TLS", tls={"mode": "PASSTHROUGH"})
    assert conflicts(server(80), server(80)) == []
    assert conflicts(server(80), passing) == [
        "Gateway default/g0 at test-3.yaml:11:5 has port 80, and speaks HTTP there, and this TLS"
    ]
    assert conflicts(passing, passing | {"hosts": ["b.example.com"]}) == []
    assert conflicts(passing, passing) == [
        "Gateway default/g0 at test-3.yaml:11:5 has port 80, and has the TLS host a.example.com already"
    ]
    assert conflicts(server(81, protocol="TCP"), server(81, protocol="TCP")) == [
        "Gateway default/g0 at test-3.yaml:11:5 has port 81, and takes all its connections"
    ]
    assert conflicts(server(81, protocol="TCP"), server(81, protocol="TCP", bind="127.0.0.2")) == []


def test_routes_of_a_kind_for_which_a_gateway_has_no_server() -> None:
    passing = server(443, protocol="TLS", tls={"mode": "PASSTHROUGH"})
    routes: dict[str, Any] = {
        "http": [to("a")],
        "tls": [{"match": [{"sniHosts": ["a.example.com"]}], **to("a")}],
        "tcp": [to("a")],
    }
    for kind, servers in {"http": server(80), "tls": passing, "tcp": server(9000, protocol="TCP")}.items():
        written = virtual_service("a", hosts=["a.example.com"], gateways=["edge"], **routes)
        found = [one.path for one in check_references(read(*SHOP, gateway("edge", servers), written))]
        assert found == [f"spec.{other}" for other in routes if other != kind]
