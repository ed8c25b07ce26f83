"""Limits of connections as filters that come by themselves: no listener changes with them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import NODE_PROXY
from tests.support.written import gateway, gateway_workload, rate_limit, server, service, workload

from mizzen.compile.nothing import build_nothing
from mizzen.compile.resource import CLUSTER, FILTERS, LISTENER, ROUTES
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.extensions.filters.network.connection_limit.v3.connection_limit_pb2 import ConnectionLimit
from mizzen.stubs.envoy.extensions.filters.network.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit

WORLD = (
    service("db", ("tcp", 3306), ("http", 80), ("any", 7000)),
    workload("db", ("tcp", 3306), ("http", 80), ("any", 7000)),
    workload("client"),
    gateway_workload(),
    gateway("edge", server(80)),
)
DB, INGRESS = "db-0.default", "ingress-0.default"
NEW, OPEN = "new-connection-limit|", "open-connection-limit|"
BOTH = {"new": 5, "unit": "MINUTE", "burst": 7, "open": 9}


def limited(connections: dict[str, Any], proxy: str = DB, capture: str = "transparent", app: str = "db") -> Compiled:
    labels = {"app": app} if app == "db" else {"istio": app}
    rule = rate_limit("a", selector={"matchLabels": labels}, connections=connections)
    return compiled(*WORLD, rule, proxy=proxy, capture=capture)


def new(made: Compiled, place: str = "inbound|3306||") -> LocalRateLimit:
    found = LocalRateLimit()
    assert made.filters[f"{NEW}{place}"].typed_config.Unpack(found)
    return found


def opened(made: Compiled, place: str = "inbound|3306||") -> ConnectionLimit:
    found = ConnectionLimit()
    assert made.filters[f"{OPEN}{place}"].typed_config.Unpack(found)
    return found


def test_a_limit_changes_filters_and_nothing_else() -> None:
    before, after = compiled(*WORLD, proxy=DB).resources, limited(BOTH).resources
    for type_url in (CLUSTER, LISTENER, ROUTES):
        assert before[type_url] == after[type_url]
    changed = {name for name in after[FILTERS] if after[FILTERS][name] != before[FILTERS][name]}
    assert changed == {f"{kind}inbound|{port}||" for kind in (NEW, OPEN) for port in (3306, 7000)}


def test_what_is_counted() -> None:
    made = limited(BOTH)
    bucket = new(made).token_bucket
    assert (bucket.max_tokens, bucket.tokens_per_fill.value, bucket.fill_interval.seconds) == (7, 5, 60)
    assert opened(made).max_connections.value == 9
    assert not new(made).HasField("runtime_enabled")


@pytest.mark.parametrize(
    ("given", "counted"),
    [({"new": 5, "unit": "SECOND"}, (True, False)), ({"open": 9}, (False, True)), ({}, (False, False))],
)
def test_what_is_not_limited_is_not_counted(given: dict[str, int], counted: tuple[bool, bool]) -> None:
    made = limited(given) if given else compiled(*WORLD, proxy=DB)
    assert (not new(made).HasField("runtime_enabled"), not opened(made).HasField("runtime_enabled")) == counted


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_bytes_are_counted_before_they_are_passed_on_and_requests_are_not(capture: str) -> None:
    chains = [chain for one in limited(BOTH, capture=capture).listeners.values() for chain in one.filter_chains]
    found = {chain.name: [one.name.partition("|")[0] for one in chain.filters] for chain in chains}
    counted = [NEW.rstrip("|"), OPEN.rstrip("|"), "envoy.filters.network.tcp_proxy"]
    assert found["inbound|3306||"] == found["inbound|7000||"] == counted
    manager = "envoy.filters.network.http_connection_manager"
    assert found["inbound|80||"] == found["inbound|7000||http"] == [manager]


def test_in_a_shared_proxy_each_seat_has_its_own_and_neighbours_are_counted_too() -> None:
    made = limited(BOTH, proxy=NODE_PROXY, capture="node")
    prefix = f"{DB}/"
    found = ConnectionLimit()
    assert made.filters[f"{prefix}{OPEN}inbound|3306||"].typed_config.Unpack(found)
    assert found.max_connections.value == 9
    (chain,) = made.listeners[f"{prefix}inside_3306"].filter_chains
    assert [one.name for one in chain.filters][:2] == [f"{prefix}{kind}inbound|3306||" for kind in (NEW, OPEN)]


def test_a_gateway_counts_on_all_its_servers() -> None:
    made = limited(BOTH, proxy=INGRESS, app="ingressgateway")
    assert new(made, "gateway").share_key
    assert opened(made, "gateway").max_connections.value == 9
    chains = [chain for one in made.listeners.values() for chain in one.filter_chains]
    assert chains
    assert all([one.name for one in chain.filters][:2] == [f"{NEW}gateway", f"{OPEN}gateway"] for chain in chains)


@pytest.mark.parametrize(("kind", "message"), [(NEW, LocalRateLimit()), (OPEN, ConnectionLimit())])
@pytest.mark.parametrize("prefix", ["", f"{DB}/"])
def test_a_filter_that_nobody_has_any_more_counts_nothing(
    kind: str, message: LocalRateLimit | ConnectionLimit, prefix: str
) -> None:
    found = TypedExtensionConfig.FromString(build_nothing(FILTERS, f"{prefix}{kind}inbound|1||").body)
    assert found.typed_config.Unpack(message)
    assert message.runtime_enabled.HasField("default_value")
    assert not message.runtime_enabled.default_value.value
