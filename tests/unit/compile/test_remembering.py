"""What a compiler remembers never shows: whatever changes, it gives the same as one that has just started."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import all_proxies
from tests.support.worlds import Snapshots, read
from tests.support.written import (
    destination_rule,
    gateway,
    gateway_workload,
    mesh_config,
    rate_limit,
    server,
    service,
    service_entry,
    sidecar,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler

# There is no DestinationRule: all services obey the same ones, which are none.
WORLD = (
    service("reviews"),
    service("ratings", ("http", 9080), ("grpc", 9000), namespace="far"),
    service("limiter", ("grpc", 9000), namespace="far"),
    service("mongo", ("mongo", 27017)),
    workload("reviews"),
    workload("ratings", namespace="far"),
    workload("limiter", ("grpc", 9000), namespace="far"),
    workload("mongo", ("mongo", 27017)),
    workload("client"),
    gateway_workload(),
    gateway("edge", server()),
    virtual_service("edge", to("reviews"), hosts=["*"], gateways=["edge"]),
)
BALANCED: dict[str, Any] = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}


def limit(**spec: Any) -> str:
    return rate_limit("a", **({"limits": [{"name": "all", "requests": 1, "unit": "MINUTE"}]} | spec))


def asking(host: str) -> str:
    server = {"host": f"{host}.svc.cluster.local", "port": 9000}
    shared = {"server": server, "domain": "a", "descriptors": [{"entries": [{"key": "a", "value": "b"}]}]}
    return rate_limit("a", **{"global": shared})


def chosen(app: str) -> dict[str, Any]:
    return {"matchLabels": {"app": app}}


def pool(connections: int) -> dict[str, Any]:
    return {"inboundConnectionPool": {"tcp": {"maxConnections": connections}}}


def ratings(host: str) -> str:
    return virtual_service("ratings", to(host), hosts=["ratings.far.svc.cluster.local"])


FAR = sidecar("./*", namespace="far")
# Nothing has the last of its hosts, which is one of the names of a service that has another: the older rule gets it.
TAKING = virtual_service("taking", to("reviews"), hosts=["reviews", "ratings.far"])
ON_PORT = sidecar({"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "hosts": ["./*"]}, "far/*")
CHANGES = {
    "connections of the mesh": (mesh_config(connectTimeout="2s"), mesh_config(connectTimeout="3s")),
    "retries of the mesh": (mesh_config(defaultHttpRetryPolicy={"attempts": 1}), mesh_config()),
    "the root namespace": (FAR + mesh_config(), FAR + mesh_config(rootNamespace="far")),
    "what the mesh exports": (mesh_config(defaultServiceExportTo=["."]), mesh_config()),
    "a MeshConfig that comes": ("", mesh_config(pathNormalization={"normalization": "NONE"}, connectTimeout="2s")),
    "egress": (sidecar("./*"), sidecar("far/*")),
    "a Sidecar that comes": ("", sidecar("./*")),
    "a Sidecar's pool": (sidecar("./*", **pool(1)), sidecar("./*", **pool(2))),
    "a limit": (limit(status=429), limit(status=503)),
    "a limit that comes": ("", limit()),
    "a server that limits ask, which a Sidecar does not name": (
        sidecar("./*") + asking("limiter.far"),
        sidecar("./*") + asking("ratings.far"),
    ),
    "which callers obey a rule": (
        destination_rule("reviews", **BALANCED, workloadSelector=chosen("client")),
        destination_rule("reviews", **BALANCED, workloadSelector=chosen("mongo")),
    ),
    "a rule that comes": ("", destination_rule("reviews", **BALANCED)),
    "an entry's port": (service_entry("a", ("HTTP", 80)), service_entry("a", ("TCP", 81))),
    "where an entry leads": (
        service_entry("a", ("HTTP", 9080), resolution="STATIC", workloadSelector={"labels": {"app": "reviews"}}),
        service_entry("a", ("HTTP", 9080), resolution="STATIC", workloadSelector={"labels": {"app": "client"}}),
    ),
    "a route of a service of which a name is taken": (TAKING + ratings("reviews"), TAKING + ratings("mongo")),
    "who has claimed a name": (
        virtual_service("older", to("mongo"), hosts=["ratings.far.svc.cluster.local"]) + TAKING,
        virtual_service("older", to("mongo"), hosts=["mongo"]) + TAKING,
    ),
    "which rule is older": (ratings("reviews") + TAKING, TAKING + ratings("reviews")),
    "a route on a port of a Sidecar": (
        ON_PORT + virtual_service("reviews", to("reviews", timeout="1s")),
        ON_PORT + virtual_service("reviews", to("reviews", timeout="2s")),
    ),
    "a route of a host that nobody has": (
        service_entry("a", ("HTTP", 80)) + virtual_service("literal", to("reviews"), hosts=["b.example.com"]),
        service_entry("a", ("HTTP", 80)) + virtual_service("literal", to("mongo"), hosts=["b.example.com"]),
    ),
    "what a Sidecar allows": (
        sidecar("far/*", outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}),
        sidecar("far/*", outboundTrafficPolicy={"mode": "ALLOW_ANY"}),
    ),
    "a route": (virtual_service("reviews", to("reviews")), virtual_service("reviews", to("mongo"))),
}


@pytest.mark.parametrize("capture", ["explicit", "transparent", "node"])
@pytest.mark.parametrize("change", CHANGES)
def test_one_that_knows_what_was_before_gives_the_same_as_a_new_one(change: str, capture: str) -> None:
    compiler, snapshots = Compiler(), Snapshots(capture)
    before, after = CHANGES[change]
    made = []
    for said in (before, after, before):
        now = snapshots.next(read(*WORLD, *([said] if said else [])))
        made.append(all_proxies(compiler, now))
        assert made[-1] == all_proxies(Compiler(), now)
    assert made[0] != made[1]
