from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.written import destination_rule, service, subset, virtual_service, workload

from mizzen.compile.resource import LISTENER
from mizzen.compile.routes import Source
from mizzen.compile.tcp_routes import concerns
from mizzen.resources.virtual_service import L4MatchAttributes
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

ECHO = "echo.default.svc.cluster.local"
WORLD = (
    service("echo", ("tcp", 9000), ("tcp-other", 9001)),
    service("other", ("tcp", 7000)),
    workload("echo", ("tcp", 9000), ("tcp-other", 9001)),
    workload("client", labels={"app": "client", "team": "a"}),
    destination_rule("echo", subsets=[subset("v1"), subset("v2")]),
)


def to(subset: str = "", weight: int = 0, host: str = "echo", port: int = 9000) -> dict[str, Any]:
    return {
        "destination": {"host": host, "subset": subset, "port": {"number": port}} if subset else {"host": host},
        "weight": weight,
    }


def world(*tcp: dict[str, Any], capture: str = "transparent") -> Compiled:
    routed = virtual_service("echo", http=[], tcp=list(tcp)) if tcp else ""
    return compiled(*WORLD, routed, capture=capture)


def shares(made: Compiled, name: str = f"{ECHO}:9000") -> dict[str, int]:
    proxy = TcpProxy()
    assert made.filters[name].typed_config.Unpack(proxy)
    if proxy.cluster:
        return {proxy.cluster: 100}
    return {one.name: one.weight for one in proxy.weighted_clusters.clusters}


def test_without_a_rule_connections_go_to_the_service() -> None:
    assert shares(world()) == {f"outbound|9000||{ECHO}": 100}


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_connections_are_divided(capture: str) -> None:
    made = world({"route": [to("v1", 80), to("v2", 20)]}, capture=capture)
    assert shares(made) == {f"outbound|9000|v1|{ECHO}": 80, f"outbound|9000|v2|{ECHO}": 20}


def test_what_has_no_weight_beside_others_gets_nothing() -> None:
    assert shares(world({"route": [to("v1", 100), to("v2")]})) == {f"outbound|9000|v1|{ECHO}": 100}
    assert shares(world({"route": [to("v2")]})) == {f"outbound|9000|v2|{ECHO}": 100}


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_a_change_of_routes_changes_no_listener(capture: str) -> None:
    before, after = world(capture=capture), world({"route": [to("v1", 80), to("v2", 20)]}, capture=capture)
    assert before.resources[LISTENER] == after.resources[LISTENER]


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_how_long_connections_live_changes_no_listener(capture: str) -> None:
    pool = {"tcp": {"idleTimeout": "5s", "maxConnectionDuration": "1h"}}
    made = compiled(*WORLD, destination_rule("other", trafficPolicy={"connectionPool": pool}), capture=capture)
    proxy = TcpProxy()
    assert made.filters["other.default.svc.cluster.local:7000"].typed_config.Unpack(proxy)
    assert proxy.idle_timeout.ToSeconds() == 5
    assert proxy.max_downstream_connection_duration.ToSeconds() == 3600
    assert made.resources[LISTENER] == world(capture=capture).resources[LISTENER]


def test_the_first_route_that_matches_has_the_connection() -> None:
    made = world(
        {"match": [{"sourceLabels": {"team": "b"}}], "route": [to("v1")]},
        {"match": [{"port": 9001}, {"sourceLabels": {"team": "a"}}], "route": [to(host="other")]},
        {"route": [to("v2")]},
    )
    assert shares(made) == {"outbound|7000||other.default.svc.cluster.local": 100}
    assert shares(made, f"{ECHO}:9001") == {"outbound|7000||other.default.svc.cluster.local": 100}


def test_where_no_route_matches_it_is_as_without() -> None:
    made = world({"match": [{"port": 9001}], "route": [to("v1")]})
    assert shares(made) == {f"outbound|9000||{ECHO}": 100}


def test_routes_for_tcp_are_not_for_tls() -> None:
    tls = service("echo", ("tls", 9000))
    rule = virtual_service("echo", http=[], tcp=[{"route": [to("v1")]}])
    made = compiled(tls, *WORLD[1:], rule)
    assert shares(made) == {f"outbound|9000||{ECHO}": 100}


def test_who_wrote_it_is_known() -> None:
    made = world({"route": [to("v1")]}).resources
    origins = next(named[f"{ECHO}:9000"].origins for type_url, named in made.items() if "Extension" in type_url)
    assert [str(key) for key in origins] == ["Service default/echo", "VirtualService default/echo"]


@pytest.mark.parametrize(
    ("match", "address", "concerned"),
    [
        ({}, "", True),
        ({"port": 9000}, "", True),
        ({"port": 9001}, "", False),
        ({"sourceNamespace": "default"}, "", True),
        ({"sourceNamespace": "elsewhere"}, "", False),
        ({"sourceLabels": {"a": "1"}}, "", True),
        ({"sourceLabels": {"a": "2"}}, "", False),
        ({"gateways": ["mesh"]}, "", True),
        # All conditions count, unlike those of HTTP.
        ({"gateways": ["mesh"], "sourceNamespace": "elsewhere"}, "", False),
        ({"destinationSubnets": ["240.240.0.0/16"]}, "240.240.1.2", True),
        ({"destinationSubnets": ["10.0.0.0/8", "240.240.1.2"]}, "240.240.1.2", True),
        ({"destinationSubnets": ["240.240.1.3/32"]}, "240.240.1.2", False),
        ({"destinationSubnets": ["0.0.0.0/0"]}, "", False),
        ({"destinationSubnets": ["2001:db8::/32"]}, "240.240.1.2", False),
    ],
)
def test_matches(match: dict[str, Any], address: str, concerned: bool) -> None:
    source = Source("default", (("a", "1"),))
    assert concerns(L4MatchAttributes.model_validate(match), 9000, address, source) is concerned
