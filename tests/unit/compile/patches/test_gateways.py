"""What EnvoyFilters make of a gateway, whose ports are those of its Gateways, whatever ports the host gave it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled, every_manager
from tests.support.written import (
    envoy_filter,
    gateway,
    gateway_workload,
    patch,
    server,
    service,
    to,
    typed,
    virtual_service,
    workload,
)

WORLD = (
    service("shop"),
    workload("shop"),
    gateway_workload(),
    gateway(
        "edge",
        server(80, "www.example.com"),
        server(
            443,
            protocol="HTTPS",
            tls={"mode": "SIMPLE", "serverCertificate": "c", "privateKey": "k"},
        ),
    ),
    virtual_service("shop", to("shop", name="main"), hosts=["www.example.com"], gateways=["edge"]),
)
COMPRESSOR = typed(
    "gzip",
    "http.compressor.v3.Compressor",
    compressor_library={
        "name": "gzip",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"},
    },
)
HTTPS = "https.443.https-443.edge.default"


def given(*patches: dict[str, Any]) -> Compiled:
    return compiled(*WORLD, envoy_filter("it", *patches), proxy="ingress-0.default")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, {"http.80", HTTPS}),
        ({"context": "GATEWAY"}, {"http.80", HTTPS}),
        ({"context": "SIDECAR_OUTBOUND"}, set()),
        ({"context": "GATEWAY", "listener": {"portNumber": 80}}, {"http.80"}),
        ({"context": "GATEWAY", "listener": {"portNumber": 8080}}, set()),
        ({"context": "GATEWAY", "listener": {"name": "0.0.0.0_443"}}, {HTTPS}),
        ({"context": "GATEWAY", "listener": {"filterChain": {"sni": "www.example.com"}}}, set()),
        ({"context": "GATEWAY", "listener": {"filterChain": {"name": HTTPS}}}, {HTTPS}),
    ],
)
def test_listeners(match: dict[str, Any], expected: set[str]) -> None:
    found = every_manager(given(patch("HTTP_FILTER", "INSERT_FIRST", COMPRESSOR, **match)))
    assert {one.rds.route_config_name for one in found.values() if one.http_filters[0].name == "gzip"} == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, {"http.80", HTTPS}),
        ({"portNumber": 443}, {HTTPS}),
        ({"portName": "https-443"}, {HTTPS}),
        ({"gateway": "default/edge"}, {HTTPS}),
        ({"name": "http.80"}, {"http.80"}),
        ({"gateway": "default/other"}, set()),
        ({"portNumber": 80, "vhost": {"name": "www.example.com:80", "route": {"name": "main"}}}, {"http.80"}),
    ],
)
def test_routes(match: dict[str, Any], expected: set[str]) -> None:
    made = given(patch("HTTP_ROUTE", "MERGE", {"route": {"timeout": "7s"}}, routeConfiguration=match))
    changed = {
        name
        for name, config in made.routes.items()
        if any(route.route.timeout.seconds == 7 for host in config.virtual_hosts for route in host.routes)
    }
    assert changed == expected


@pytest.mark.parametrize(("context", "changed"), [("ANY", True), ("GATEWAY", True), ("SIDECAR_OUTBOUND", False)])
def test_clusters(context: str, changed: bool) -> None:
    match = {"context": context, "cluster": {"service": "shop.default.svc.cluster.local"}}
    made = given(patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}, **match))
    assert (made.clusters["outbound|9080||shop.default.svc.cluster.local"].connect_timeout.seconds == 7) == changed
