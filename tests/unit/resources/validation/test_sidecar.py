from __future__ import annotations

from typing import Any

import pytest
from tests.support.written import sidecar

from mizzen.resources.loading import Loaded, load
from mizzen.resources.problems import errors

HTTP = {"number": 80, "protocol": "HTTP", "name": "http"}
ALL = {"hosts": ["*/*"]}


def loaded(*egress: Any, **spec: Any) -> Loaded:
    return load(sidecar(*egress, **spec), "f")


def said(found: Loaded) -> list[str]:
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in found.problems]


def on(path: str, **listener: Any) -> Loaded:
    if path == "ingress":
        return loaded(ingress=[{"port": HTTP, **listener}])
    return loaded({"port": HTTP, "hosts": ["*/*"], **listener})


@pytest.mark.parametrize(
    "found",
    [
        loaded("./*", "istio-system/*"),
        loaded("*/*", "~shop/*", "~/a.example.com"),
        loaded("~/*"),
        loaded({"port": HTTP, **ALL}, {"port": {**HTTP, "number": 81}, **ALL}, "*/*"),
        loaded({"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, **ALL}),
        loaded(inboundConnectionPool={"tcp": {"maxConnections": 1}}),
        loaded(outboundTrafficPolicy={"mode": "ALLOW_ANY"}),
        *(on("ingress", defaultEndpoint=where) for where in ("127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "[::]:1", ":1")),
        *(on("ingress", defaultEndpoint=where) for where in ("unix:///run/a.sock", "unix:/run/a.sock", "unix://@a")),
        on("ingress", captureMode="NONE", bind="127.0.0.1", defaultEndpoint="127.0.0.1:81"),
        on("egress", captureMode="NONE", bind="127.0.0.2"),
    ],
)
def test_valid_ones(found: Loaded) -> None:
    assert said(found) == []
    assert len(found.resources) == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (loaded(), ["error: spec: sidecar: empty configuration provided"]),
        (
            loaded({"hosts": []}),
            ["error: spec.egress[0].hosts: sidecar: egress listener must contain at least one host"],
        ),
        (
            loaded(ALL, {"port": HTTP, **ALL}),
            [
                "error: spec.egress[0]: sidecar: the egress listener with empty port should be the last listener in the list"
            ],
        ),
        (
            loaded({"port": HTTP, **ALL}, ALL, {"hosts": ["./*"]}),
            [
                "error: spec.egress[1]: sidecar: the egress listener with empty port should be the last listener in the list",
                "error: spec.egress[2]: sidecar: egress can have only one listener with empty port",
            ],
        ),
        (
            loaded({"port": HTTP, **ALL}, {"port": HTTP, **ALL}),
            ["error: spec.egress[1].port.number: sidecar: ports on IP bound listeners must be unique"],
        ),
        (
            loaded(ingress=[{"port": HTTP}, {"port": HTTP}]),
            ["error: spec.ingress[1].port.number: sidecar: ports on IP bound listeners must be unique"],
        ),
        (
            loaded({"port": {"number": 0, "protocol": "HTTP"}, "bind": "unix:///a", "captureMode": "IPTABLES", **ALL}),
            [
                "error: spec.egress[0].captureMode: sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners",
                (
                    "error: spec.egress[0].bind: a sidecar that listens on a Unix socket is not implemented yet in this version "
                    "of Mizzen"
                ),
            ],
        ),
        (on("egress", bind="a"), ["error: spec.egress[0].bind: 'a' is not a valid IP address"]),
        (
            loaded("reviews"),
            ["error: spec.egress[0].hosts[0]: host must be of form namespace/dnsName: 'reviews'"],
        ),
        (loaded("a/b/c"), ["error: spec.egress[0].hosts[0]: host must be of form namespace/dnsName: 'a/b/c'"]),
        (
            loaded("/a"),
            ["error: spec.egress[0].hosts[0]: config namespace and dnsName in host entry cannot be empty"],
        ),
        (loaded("A_b/*"), ["error: spec.egress[0].hosts[0]: invalid namespace value 'A_b' in 'A_b/*'"]),
        (loaded("~A_b/*"), ["error: spec.egress[0].hosts[0]: invalid namespace value '~A_b' in '~A_b/*'"]),
        (
            loaded("./a*b.com"),
            ["error: spec.egress[0].hosts[0]: domain name 'a*b.com' invalid (label 'a*b' invalid)"],
        ),
        (
            loaded("./a.com", "default/a.com"),
            ["warning: spec.egress[0].hosts[1]: duplicated egress host: default/a.com"],
        ),
        (loaded("./*", "./a.com"), ["warning: spec.egress[0].hosts[1]: duplicated egress host: ./a.com"]),
        (loaded("./a.com", "./*"), ["warning: spec.egress[0].hosts[1]: duplicated egress host: ./*"]),
        (
            loaded("*/*", "./a.com"),
            ["warning: spec.egress[0].hosts: `*/*` host select all resources, no other hosts can be added"],
        ),
        (
            loaded({"bind": "127.0.0.1", "captureMode": "NONE", **ALL}),
            [
                "error: spec.egress[0].bind: a `bind` without a `port` is not implemented yet in this version of Mizzen",
                (
                    "error: spec.egress[0].captureMode: captureMode NONE without a `port` is not implemented yet in this version "
                    "of Mizzen"
                ),
            ],
        ),
        (loaded(ingress=[{}]), ["error: spec.ingress[0]: sidecar: port is required for ingress listeners"]),
        (
            loaded(ingress=[{"port": {"number": 0, "protocol": "HTPP", "targetPort": 1}}]),
            [
                "error: spec.ingress[0].port.number: port number 0 must be in the range 1..65535",
                "warning: spec.ingress[0].port.targetPort: targetPort has no impact on Sidecars",
                "error: spec.ingress[0].port.protocol: unsupported protocol 'HTPP'",
            ],
        ),
        (
            loaded(ingress=[{"port": {"number": 1, "protocol": "HTTP_PROXY"}}]),
            ["error: spec.ingress[0].port.protocol: unsupported protocol 'HTTP_PROXY'"],
        ),
        (
            loaded(ingress=[{"port": {"number": 1, "protocol": "UDP"}}]),
            [
                (
                    "error: spec.ingress[0].port.protocol: UDP is part of Istio's API but not implemented yet in this version of "
                    "Mizzen"
                )
            ],
        ),
        (
            on("ingress", defaultEndpoint="10.0.0.1:80"),
            [
                (
                    "error: spec.ingress[0].defaultEndpoint: sidecar: defaultEndpoint must be of form 127.0.0.1:<port>, "
                    "0.0.0.0:<port>, [::1]:<port>, [::]:<port>, unix://filepath or unset; it is '10.0.0.1:80'"
                )
            ],
        ),
        (
            on("ingress", defaultEndpoint="127.0.0.1:http"),
            ["error: spec.ingress[0].defaultEndpoint: '127.0.0.1:http' has no port"],
        ),
        (
            on("ingress", defaultEndpoint="127.0.0.1:0"),
            ["error: spec.ingress[0].defaultEndpoint: port number 0 must be in the range 1..65535"],
        ),
        (
            on("ingress", defaultEndpoint="unix://"),
            ["error: spec.ingress[0].defaultEndpoint: unix address must not be empty"],
        ),
        (
            on("ingress", defaultEndpoint="unix://a"),
            ["error: spec.ingress[0].defaultEndpoint: a is not an absolute path"],
        ),
        (
            on("ingress", captureMode="NONE"),
            [
                (
                    "error: spec.ingress[0]: with captureMode NONE the sidecar itself listens on this port, so the application is "
                    "on another one"
                )
            ],
        ),
        (
            on("ingress", tls={"mode": "SIMPLE"}),
            [
                "error: spec.ingress[0].tls: `tls` is part of Istio's API but not implemented yet in this version of Mizzen",
            ],
        ),
        (
            loaded(inboundConnectionPool={}),
            ["error: spec.inboundConnectionPool: connection pool must have at least one field"],
        ),
        (
            loaded(outboundTrafficPolicy={}),
            [
                (
                    "warning: spec.outboundTrafficPolicy: without a mode it is REGISTRY_ONLY, as in Istio: connections go to known "
                    "services alone"
                )
            ],
        ),
        (
            loaded(outboundTrafficPolicy={"mode": "REGISTRY_ONLY", "egressProxy": {"host": "a.com"}}),
            [
                (
                    "error: spec.outboundTrafficPolicy.egressProxy: sidecar: egress_proxy must be set only with ALLOW_ANY "
                    "outbound_traffic_policy mode"
                ),
                "error: spec.outboundTrafficPolicy.egressProxy: sidecar: egress_proxy port must be non-nil",
            ],
        ),
    ],
)
def test_rules_72_to_77_of_istio(found: Loaded, expected: list[str]) -> None:
    assert sorted(said(found)) == sorted(expected)


def test_warnings_refuse_nothing() -> None:
    found = loaded("./*", "./a.com")
    assert not errors(found.problems)
    assert len(found.resources) == 1
