"""Rate limits as filters that come by themselves: no listener changes with them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import NODE_PROXY
from tests.support.written import rate_limit, service, sidecar, workload

from mizzen.compile.nothing import build_nothing
from mizzen.compile.rate_limits import is_slot
from mizzen.compile.resource import CLUSTER, FILTERS, LISTENER, ROUTES
from mizzen.stubs.envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from mizzen.stubs.envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit

WORLD = (service("web"), workload("web"), service("limiter", ("grpc", 9000)), workload("limiter", ("grpc", 9000)))
LOCAL, SHARED = "local-rate-limit|inbound|9080||", "global-rate-limit|inbound|9080||"
LIMIT = {"name": "all", "requests": 5, "unit": "MINUTE"}


def limited(
    *limits: dict[str, Any],
    proxy: str = "web-0.default",
    capture: str = "explicit",
    shared: dict[str, Any] | None = None,
) -> Compiled:
    given = {"limits": list(limits)} if limits else {"global": shared}
    return compiled(
        *WORLD, rate_limit("a", selector={"matchLabels": {"app": "web"}}, **given), proxy=proxy, capture=capture
    )


def local(made: Compiled, name: str = LOCAL) -> LocalRateLimit:
    found = LocalRateLimit()
    assert made.filters[name].typed_config.Unpack(found)
    return found


def test_a_limit_changes_a_filter_and_nothing_else() -> None:
    before = compiled(*WORLD, proxy="web-0.default", capture="explicit").resources
    after = limited(LIMIT).resources
    for type_url in (CLUSTER, LISTENER, ROUTES):
        assert before[type_url] == after[type_url]
    assert {name for name in after[FILTERS] if after[FILTERS][name] != before[FILTERS][name]} == {LOCAL}


def test_a_bucket() -> None:
    (descriptor,) = local(limited(LIMIT | {"burst": 7})).descriptors
    bucket = descriptor.token_bucket
    assert (bucket.max_tokens, bucket.tokens_per_fill.value, bucket.fill_interval.seconds) == (7, 5, 60)


def test_who_is_not_selected_is_not_limited() -> None:
    made = limited(LIMIT, proxy="limiter-0.default")
    assert not local(made, "local-rate-limit|inbound|9000||").descriptors


@pytest.mark.parametrize(
    ("uri", "regex"),
    [
        ({"exact": "/a.b"}, r"/a\.b(?:\?.*)?"),
        ({"prefix": "/a"}, "/a.*"),
        ({"regex": "/a|/b"}, r"(?:/a|/b)(?:\?.*)?"),
    ],
)
def test_a_path_is_compared_without_its_query(uri: dict[str, str], regex: str) -> None:
    (actions,) = local(limited(LIMIT | {"match": {"uri": uri}})).rate_limits
    (header,) = actions.actions[1].header_value_match.headers
    assert (header.name, header.string_match.safe_regex.regex) == (":path", regex)


def test_in_a_descriptor_the_condition_stands_where_its_value_is_written() -> None:
    entries = [{"key": "user", "header": "x-user"}, {"key": "at", "value": "shop"}, {"key": "by", "value": "web"}]
    asked: dict[str, Any] = {
        "server": {"host": "limiter", "port": 9000},
        "domain": "shop",
        "descriptors": [{"match": {"uri": {"prefix": "/a"}}, "entries": entries}],
    }
    found = RateLimit()
    assert limited(shared=asked).filters[SHARED].typed_config.Unpack(found)
    user, at, by = found.rate_limits[0].actions
    assert (user.request_headers.descriptor_key, user.request_headers.header_name) == ("user", "x-user")
    assert (at.header_value_match.descriptor_key, at.header_value_match.descriptor_value) == ("at", "shop")
    assert (by.generic_key.descriptor_key, by.generic_key.descriptor_value) == ("by", "web")
    called = found.rate_limit_service.grpc_service.envoy_grpc
    assert called.cluster_name == "outbound|9000||limiter.default.svc.cluster.local"
    assert called.authority == "limiter.default.svc.cluster.local:9000"


@pytest.mark.parametrize("capture", ["explicit", "transparent", "node"])
def test_the_server_is_there_for_a_proxy_whose_sidecar_does_not_name_it(capture: str) -> None:
    asked = {
        "server": {"host": "limiter", "port": 9000},
        "domain": "shop",
        "descriptors": [{"entries": [{"key": "at", "value": "shop"}]}],
    }
    proxy = NODE_PROXY if capture == "node" else "web-0.default"
    texts = (sidecar("./web.default.svc.cluster.local"), rate_limit("a", **{"global": asked}))
    made = compiled(*WORLD, *texts, proxy=proxy, capture=capture)
    seat = "web-0.default/" if capture == "node" else ""
    found = RateLimit()
    assert made.filters[f"{seat}{SHARED}"].typed_config.Unpack(found)
    cluster = found.rate_limit_service.grpc_service.envoy_grpc.cluster_name
    assert cluster in made.clusters
    assert [len(one.lb_endpoints) for one in made.endpoints[cluster].endpoints] == [1]


def test_neighbours_in_a_node_proxy_are_limited_too() -> None:
    (chain,) = limited(LIMIT, proxy=NODE_PROXY, capture="node").listeners["web-0.default/inside_9080"].filter_chains
    assert [one.name for one in chain.filters] == ["envoy.filters.network.http_connection_manager"]


@pytest.mark.parametrize("name", [LOCAL, f"web-0.default/{SHARED}"])
def test_a_filter_that_is_missing_is_one_that_does_nothing(name: str) -> None:
    assert is_slot(name)
    made = build_nothing(FILTERS, name)
    assert made is not None
    assert b"LocalRateLimit" in made.body
    assert not is_slot("reviews.default.svc.cluster.local:9080")
