from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import destination_rule, service, to, virtual_service, workload

from mizzen.mesh.scope import Scope, scope_of


def scope(*texts: str, namespace: str = "default") -> Scope:
    return scope_of(snapshot_of(read(*texts)), namespace)


def literal(found: Scope) -> list[tuple[str, int, list[str]]]:
    return [(one.host, one.port, [rule.name for rule in one.virtual_services]) for one in found.literal_hosts]


def test_every_service_stands_with_its_policy() -> None:
    found = scope(service("reviews"), service("ratings"), virtual_service("reviews"), destination_rule("ratings"))
    assert [
        (one.service.name, [rule.name for rule in one.virtual_services], [rule.name for rule in one.destination_rules])
        for one in found.services
    ] == [("ratings", [], ["ratings"]), ("reviews", ["reviews"], [])]


@pytest.mark.trap(5)
def test_hosts_that_no_service_has_are_served_on_port_80() -> None:
    assert literal(scope(virtual_service("a", to("b"), hosts=["api.example.com"]))) == [("api.example.com", 80, ["a"])]


def test_hosts_beside_services_are_served_on_their_http_ports() -> None:
    found = scope(
        service("web", ("http", 8080), ("tcp", 8081), ("grpc", 8082)),
        virtual_service("a", to("b"), hosts=["web", "api.example.com"]),
        virtual_service("b", to("b"), hosts=["api.example.com"]),
    )
    assert literal(found) == [
        ("api.example.com", 80, ["b"]),
        ("api.example.com", 8080, ["a"]),
        ("api.example.com", 8082, ["a"]),
    ]


@pytest.mark.parametrize(
    ("ports", "match", "served"),
    [
        ([("tls", 443)], {"port": 80}, [("outside.default.svc.cluster.local", 80, ["outside"])]),
        ([("tls", 443)], {"port": 80, "gateways": ["mesh"]}, [("outside.default.svc.cluster.local", 80, ["outside"])]),
        ([("tls", 443)], {"port": 80, "gateways": ["way-out"]}, []),
        ([("tls", 443)], {"port": 443}, []),
        ([("tls", 443)], {"uri": {"prefix": "/"}}, []),
        ([("tls", 443), ("tcp", 80)], {"port": 80}, []),
    ],
)
def test_a_service_without_a_port_80_is_served_there_if_a_virtual_service_asks_for_it(
    ports: list[tuple[str, int]], match: dict[str, Any], served: list[tuple[str, int, list[str]]]
) -> None:
    rule = virtual_service("outside", {"match": [match], **to("b")}, gateways=["mesh", "way-out"])
    assert literal(scope(service("outside", *ports), rule)) == served


def test_endpoints_are_no_part_of_a_scope() -> None:
    texts = [service("reviews"), workload("reviews")]
    more = [service("reviews"), workload("reviews", replicas=3)]
    assert scope(*texts) == scope(*more)


def test_claims_are_in_the_order_of_visibility_and_age() -> None:
    found = scope(
        virtual_service("public"),
        virtual_service("private", exportTo=["."]),
        virtual_service("hidden", namespace="far", exportTo=["."]),
    )
    assert [key.name for key in found.claims] == ["private", "public"]
