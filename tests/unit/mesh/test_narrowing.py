from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import (
    destination_rule,
    mesh_config,
    rate_limit,
    service,
    service_entry,
    sidecar,
    to,
    virtual_service,
)

from mizzen.mesh.narrowing import narrowed_scope
from mizzen.mesh.scope import Scope, ScopedService

WORLD = (
    service("web", ("http", 80), ("tcp", 81)),
    service("reviews", ("http", 80), ("http-b", 9080), namespace="shop"),
    service("ratings", ("http", 80), namespace="shop"),
    service("far", ("http", 80), namespace="far"),
    service_entry("api", namespace="shop"),
    service_entry("secret", namespace="shop", exportTo=["."]),
)

PORT_81 = {"number": 81, "protocol": "TCP", "name": "tcp"}


def scope(sidecar_: str, *texts: str, namespace: str = "default") -> Scope:
    snapshot = snapshot_of(read(*WORLD, *texts, sidecar_))
    return narrowed_scope(snapshot, namespace, snapshot.sidecars[0])


def named(services: tuple[ScopedService, ...]) -> list[str]:
    return [one.service.host.removesuffix(".svc.cluster.local") for one in services]


def ports(services: tuple[ScopedService, ...]) -> dict[str, list[int]]:
    return {one.service.name: [port.number for port in one.service.ports] for one in services}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["./*"], ["web.default"]),
        (["./*", "istio-system/*"], ["web.default"]),
        (["shop/*"], ["api.example.com", "ratings.shop", "reviews.shop"]),
        (["*/*"], ["api.example.com", "far.far", "ratings.shop", "reviews.shop", "web.default"]),
        (["*/*.example.com"], ["api.example.com"]),
        (["*/*", "~shop/*"], ["far.far", "web.default"]),
        (["~/*"], []),
    ],
)
def test_services_that_hosts_select(hosts: list[str], expected: list[str]) -> None:
    assert named(scope(sidecar(*hosts)).services) == expected


def test_without_egress_everything_may_be_called() -> None:
    found = scope(sidecar(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    assert len(found.services) == 5
    assert found.registry_only


def test_a_dot_is_the_namespace_of_the_workload_also_in_the_root_namespace() -> None:
    found = scope(sidecar("./*", namespace="istio-system"), namespace="far")
    assert named(found.services) == ["far.far"]


def test_rules_of_what_is_not_selected_are_no_part_of_it() -> None:
    found = scope(
        sidecar("./*"),
        virtual_service("web"),
        virtual_service("ratings", namespace="shop"),
        destination_rule("web"),
        destination_rule("ratings", namespace="shop"),
    )
    assert [key.name for key in found.claims] == ["web"]
    assert [rule.name for one in found.services for rule in one.destination_rules] == ["web"]


def test_services_to_which_selected_routes_lead_are_reached_and_not_called() -> None:
    found = scope(
        sidecar("./*"),
        virtual_service("web", {"route": [destination("reviews.shop.svc.cluster.local", 9080)]}),
        virtual_service("b", to("far.far.svc.cluster.local"), hosts=["b.example.com"]),
        virtual_service("other", to("ratings.shop.svc.cluster.local"), namespace="shop", hosts=["c.example.com"]),
        destination_rule("reviews", namespace="shop"),
    )
    assert named(found.services) == ["web.default"]
    assert ports(found.led) == {"far": [80], "reviews": [9080]}
    assert [rule.name for one in found.led for rule in one.destination_rules] == ["reviews"]


def destination(host: str, port: int) -> dict[str, Any]:
    return {"destination": {"host": host, "port": {"number": port}}}


def test_one_selected_host_selects_a_whole_virtual_service() -> None:
    texts = virtual_service("both", to("web"), hosts=["web", "b.example.com"])
    found = scope(sidecar("./web.default.svc.cluster.local"), texts)
    assert [(one.host, one.port) for one in found.literal_hosts] == [("b.example.com", 80)]


def test_a_virtual_service_of_a_service_that_is_not_selected_makes_a_host_of_port_80() -> None:
    text = virtual_service("routes", to("web"), hosts=["reviews.shop.svc.cluster.local"])
    found = scope(sidecar("./*"), text)
    assert [(one.host, one.port) for one in found.literal_hosts] == [("reviews.shop.svc.cluster.local", 80)]


def test_a_port_with_a_listener_of_its_own_serves_what_is_declared_there_and_no_other_has_it() -> None:
    on_80 = {
        "port": {"number": 80, "protocol": "HTTP", "name": "http"},
        "hosts": ["shop/reviews.shop.svc.cluster.local"],
    }
    found = scope(sidecar(on_80, "*/*"))
    assert ports(found.services) == {"web": [81], "reviews": [9080]}
    (only,) = found.ports
    assert (only.number, ports(only.scope.services)) == (80, {"reviews": [80]})


def test_without_a_last_listener_other_ports_have_nothing() -> None:
    found = scope(sidecar({"port": {"number": 81, "protocol": "TCP", "name": "tcp"}, "hosts": ["*/*"]}))
    assert named(found.services) == []
    assert ports(found.ports[0].scope.services) == {"web": [81]}


def test_a_forward_proxy_takes_requests_for_all_ports_that_speak_http() -> None:
    found = scope(
        sidecar({"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, "hosts": ["*/*", "~far/*"]}, "./*")
    )
    assert ports(found.services) == {"web": [80, 81]}
    assert ports(found.ports[0].scope.services) == {
        "api.example.com": [80],
        "ratings": [80],
        "reviews": [80, 9080],
        "web": [80],
    }


def test_a_forward_proxy_takes_requests_for_ports_that_declare_no_protocol() -> None:
    port = {"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, "hosts": ["./*"]}
    found = scope(sidecar(port, "./*"), service("plain", ("api", 9000), ("tcp", 9001)))
    assert ports(found.ports[0].scope.services) == {"plain": [9000], "web": [80]}


@pytest.mark.trap(20)
@pytest.mark.parametrize(
    ("spec", "texts", "expected"),
    [
        ({}, [], False),
        ({}, [mesh_config(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"})], True),
        (
            {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}},
            [mesh_config(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"})],
            False,
        ),
        ({"outboundTrafficPolicy": {}}, [], True),
    ],
)
def test_an_empty_outbound_traffic_policy_is_registry_only(
    spec: dict[str, Any], texts: list[str], expected: bool
) -> None:
    assert scope(sidecar("./*", **spec), *texts).registry_only is expected


def test_an_egress_proxy_is_reached() -> None:
    proxy = {"host": "far.far.svc.cluster.local", "port": {"number": 80}}
    found = scope(sidecar("./*", outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": proxy}))
    assert ports(found.led) == {"far": [80]}
    assert found.elsewhere is not None
    assert (found.elsewhere.host, found.elsewhere.port) == ("far.far.svc.cluster.local", 80)


@pytest.mark.parametrize("egress", [("./*",), ({"port": PORT_81, "hosts": ["./*"]}, "./*")])
def test_servers_that_count_requests_are_reached(egress: tuple[Any, ...]) -> None:
    asked = {"domain": "a", "descriptors": [{"entries": [{"key": "a", "value": "b"}]}]}
    limits = [
        rate_limit(
            "counted", **{"global": asked | {"server": {"host": "reviews.shop.svc.cluster.local", "port": 9080}}}
        ),
        rate_limit("here", limits=[{"name": "all", "requests": 1, "unit": "HOUR"}]),
        rate_limit("hidden", **{"global": asked | {"server": {"host": "secret.example.com", "port": 80}}}),
    ]
    found = scope(sidecar(*egress), *limits)
    assert ports(found.led) == {"reviews": [9080]}
    assert ports(scope(sidecar("./*"), *limits, namespace="shop").led) == {}
