"""Changes that follow each other: a compiler that has seen all of them gives the same as one that has just started."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.compiled import all_proxies
from tests.support.worlds import Snapshots, read
from tests.support.written import (
    destination_rule,
    envoy_filter,
    gateway,
    gateway_workload,
    mesh_config,
    patch,
    server,
    service,
    service_entry,
    sidecar,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler
from mizzen.resources.resource import Resource

_FROM_CLIENT: dict[str, Any] = {"match": [{"sourceLabels": {"app": "client"}}]}
_FROM_FAR: dict[str, Any] = {"match": [{"sourceNamespace": "far"}]}
# Of a service that has no such port: its host is served there for the sake of the route.
_PORT_80: dict[str, Any] = {"match": [{"port": 80}]}
_HASHED: dict[str, Any] = {"trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}}}
# The last is a host that no service has, and one of the names of a service that has another: the older rule has it.
_LITERAL = ["reviews", "api.example.com", "ratings.far"]
_RATINGS = "ratings.far.svc.cluster.local"
_TCP = [{"route": [{"destination": {"host": "mongo"}}]}]
_ONLY_KNOWN: dict[str, Any] = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
_PORT_OF_REVIEWS = {"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "hosts": ["./*"]}
_HEADER = patch("VIRTUAL_HOST", "MERGE", {"response_headers_to_remove": ["server"]}, context="SIDECAR_OUTBOUND")


def delegating(path: str) -> str:
    match = {"match": [{"uri": {"prefix": path}}], "delegate": {"name": "part"}}
    return virtual_service("root", match, hosts=[_RATINGS])


def _by_name(name: str, host: str) -> dict[str, Any]:
    match = {"port": 443, "sniHosts": [f"{name}.example.com"]}
    return {"match": [match], "route": [{"destination": {"host": host, "port": {"number": 27018}}}]}


# What users have written in each of several places: one of these texts, or nothing. A place keeps its age.
PLACES = (
    (
        "",
        virtual_service("older", to("mongo"), hosts=["reviews"]),
        virtual_service("older", to("mongo"), hosts=["mongo"]),
        virtual_service("older", to("mongo"), hosts=[_RATINGS]),
    ),
    (
        virtual_service("reviews", to("reviews")),
        virtual_service("reviews", to("ratings.far")),
        virtual_service("reviews", to("mongo", **_FROM_CLIENT), to("reviews")),
        virtual_service("reviews", to("mongo", **_FROM_FAR), to("reviews")),
        virtual_service("reviews", to("reviews"), hosts=_LITERAL),
        virtual_service("reviews", to("mongo"), hosts=_LITERAL),
        virtual_service("reviews", to("reviews"), exportTo=["."]),
        virtual_service("reviews", to("reviews", **_PORT_80)),
        virtual_service("reviews", to("mongo", **_PORT_80), to("reviews")),
    ),
    (
        virtual_service("wild", to("reviews"), hosts=["*.example.org"]),
        virtual_service("wild", to("mongo"), hosts=["*.example.org"]),
        virtual_service("wild", to("mongo"), hosts=["*.svc.cluster.local"]),
        virtual_service("wild", to("ratings.far"), hosts=["*.svc.cluster.local"]),
    ),
    ("", delegating("/"), delegating("/x")),
    (virtual_service("part", to("reviews"), hosts=[]), virtual_service("part", to("mongo"), hosts=[])),
    ("", virtual_service("mongo", hosts=["mongo"], tcp=_TCP), virtual_service("mongo", to("reviews"))),
    (virtual_service("edge", to("reviews"), hosts=["*"], gateways=["edge"]), ""),
    ("", destination_rule("reviews", **_HASHED), destination_rule("mongo", **_HASHED)),
    ("", sidecar("./*"), sidecar("./*", **_ONLY_KNOWN), sidecar("far/*"), sidecar(_PORT_OF_REVIEWS, "far/*")),
    ("", mesh_config(), mesh_config(defaultHttpRetryPolicy={"attempts": 1}), mesh_config(**_ONLY_KNOWN)),
    ("", service("late", ("http", 9080), ("http-admin", 9090)), service_entry("api", ("HTTP", 80), ("TLS", 443))),
    ("", "", envoy_filter("header", _HEADER)),
    (
        "",
        virtual_service("api", hosts=["*.example.com"], tls=[_by_name("api", "ratings"), _by_name("en", "mongo")]),
        virtual_service("api", hosts=["*.example.com"], tls=[_by_name("api", "mongo"), _by_name("en", "mongo")]),
        virtual_service("api", hosts=["*.example.com"], tls=[_by_name("api", "mongo"), _by_name("*", "mongo")]),
    ),
)
WORLD = (
    service("reviews", ("http", 9080), ("undeclared", 9090)),
    service("ratings", namespace="far"),
    service("mongo", ("mongo", 27017), ("tls", 27018)),
    workload("reviews"),
    workload("client"),
    workload("client", namespace="far"),
    gateway_workload(),
    gateway("edge", server()),
)
# The places whose routes change while all else stays: the changes after which most is taken over from before.
ROUTES = (0, 1, 2, len(PLACES) - 1)
STEPS = 12


def said(text: str, age: int) -> list[Resource[Any]]:
    return [one.stamped(age) for one in read(text)]


SAID = [[said(text, age) for text in texts] for age, texts in enumerate(PLACES, start=100)]


def worlds(seed: int) -> Iterator[list[Resource[Any]]]:
    """Yields worlds that differ in a route each from the one before, and some in more; all else is the same objects."""
    chance, always = random.Random(seed), read(*WORLD)
    now = [chance.randrange(len(texts)) for texts in PLACES]
    for _ in range(STEPS):
        yield [*always, *(one for place, choice in zip(SAID, now, strict=True) for one in place[choice])]
        others = range(len(PLACES)) if chance.random() < 1 / 3 else ()
        for place in (chance.choice(ROUTES), *chance.sample(others, len(others[:1]))):
            now[place] = chance.randrange(len(PLACES[place]))


@pytest.mark.parametrize("capture", ["explicit", "transparent", "node"])
@pytest.mark.parametrize("seed", range(6))
def test_after_many_changes_all_is_as_if_it_were_new(seed: int, capture: str) -> None:
    compiler, snapshots = Compiler(), Snapshots(capture)
    for world in worlds(seed):
        now = snapshots.next(world)
        assert all_proxies(compiler, now) == all_proxies(Compiler(), now)
