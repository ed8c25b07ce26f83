"""Which VirtualServices a gateway obeys, and for which hosts."""

from __future__ import annotations

import pytest
from tests.support.worlds import read
from tests.support.written import gateway, server, to, virtual_service

from mizzen.mesh.gateway_addresses import address_in_mesh, listened_at
from mizzen.mesh.gateways import bindings, common_hosts, visible_rules
from mizzen.mesh.model import VirtualService
from mizzen.resources.gateway_servers import BoundServer


def servers(*texts: str) -> list[BoundServer]:
    return [BoundServer(one, index) for one in read(*texts) for index in range(len(one.spec.servers))]


def rules(*texts: str) -> list[VirtualService]:
    return visible_rules(read(*texts), "default")


@pytest.mark.parametrize(
    ("served", "wanted", "common"),
    [
        ("*", ["a.example.com"], ["a.example.com"]),
        ("*.example.com", ["*"], ["*.example.com"]),
        ("*.example.com", ["*.a.example.com", "b.example.org"], ["*.a.example.com"]),
        ("a.example.com", ["*.example.com"], ["a.example.com"]),
        ("*.example.com", ["example.com"], []),
        ("shop/*.example.com", ["a.example.com"], []),
        ("default/*.example.com", ["A.example.com"], ["a.example.com"]),
        ("*", ["shop"], ["shop.default.svc.cluster.local"]),
    ],
)
def test_common_hosts(served: str, wanted: list[str], common: list[str]) -> None:
    (bound,) = servers(gateway("edge", server(80, served)))
    (rule,) = rules(virtual_service("a", to("a"), hosts=wanted, gateways=["edge"]))
    assert common_hosts(rule, bound) == common


@pytest.mark.trap(3)
def test_a_host_is_bound_by_all_gateways_that_lead_to_it_and_rules_are_in_the_order_of_their_age() -> None:
    found = bindings(
        servers(gateway("one", server(80, "*.example.com")), gateway("two", server(80, "a.example.com"))),
        rules(
            virtual_service("b", to("b"), hosts=["a.example.com"], gateways=["one", "two", "three"]),
            virtual_service("a", to("a"), hosts=["*.example.com"], gateways=["one"]),
            virtual_service("c", to("c"), hosts=["a.example.com"], gateways=["one", "default/two"]),
        ),
    )
    assert {host: [(one.rule.name, sorted(one.gateways)) for one in bound] for host, bound in found.items()} == {
        "*.example.com": [("a", ["default/one"])],
        "a.example.com": [
            ("b", ["default/one", "default/two"]),
            ("c", ["default/one", "default/two"]),
        ],
    }


def test_rules_for_the_mesh_alone_and_those_that_are_hidden_are_none_of_a_gateway() -> None:
    assert [
        rule.name
        for rule in rules(
            virtual_service("mesh", to("a"), hosts=["a"]),
            virtual_service("both", to("a"), hosts=["a"], gateways=["mesh", "edge"]),
            virtual_service("far", to("a"), hosts=["a"], gateways=["default/edge"], namespace="far", exportTo=["."]),
            virtual_service(
                "near", to("a"), hosts=["a"], gateways=["default/edge"], namespace="far", exportTo=["default"]
            ),
        )
    ] == ["both", "near"]


@pytest.mark.parametrize(
    ("address", "host", "called", "listened"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", ("127.0.0.1",)),
        ("127.0.0.1", "10.99.0.1", "10.99.0.1", ("127.0.0.1", "10.99.0.1")),
        ("::1", "10.99.0.1", "10.99.0.1", ("::1", "10.99.0.1")),
        ("0.0.0.0", "10.99.0.1", "10.99.0.1", ("0.0.0.0",)),
        ("192.0.2.1", "10.99.0.1", "192.0.2.1", ("192.0.2.1",)),
    ],
)
def test_where_members_call_a_gateway(address: str, host: str, called: str, listened: tuple[str, ...]) -> None:
    assert address_in_mesh(address, host) == called
    assert listened_at(address, called) == listened


def test_a_gateway_whose_node_does_not_say_where_members_call_it_listens_at_its_address() -> None:
    assert listened_at("127.0.0.1", "") == ("127.0.0.1",)
