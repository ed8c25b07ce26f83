from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.written import service_entry, workload_entry

from mizzen.resources.loading import Loaded, load


def entry(*ports: Any, **spec: Any) -> Loaded:
    return load(service_entry("api", *ports, **spec), "f")


def said(loaded: Loaded) -> list[str]:
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in loaded.problems]


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        (entry(hosts=[]), ["error: spec: service entry must have at least one host"]),
        (entry(hosts=["*"]), ["error: spec.hosts[0]: invalid host *"]),
        (entry(hosts=["*a.com"]), ["error: spec.hosts[0]: partial wildcard '*a.com' not allowed"]),
        (entry(hosts=["a.com", "A.com"]), ["error: spec.hosts[1]: duplicate host 'A.com'"]),
        (
            entry(hosts=["a_b.com"]),
            ["error: spec.hosts[0]: domain name 'a_b.com' invalid (label 'a_b' invalid)"],
        ),
        (
            entry(addresses=["a", "10.0.0.0/8"], resolution="DNS"),
            [
                "error: spec.addresses[0]: 'a' is not a valid IP address or CIDR block",
                "error: spec.addresses[1]: CIDR addresses are allowed only for NONE/STATIC resolution types: 10.0.0.0/8",
            ],
        ),
        (
            entry(("HTTP", 80), ("HTTP", 80)),
            [
                "error: spec.ports[1].name: service entry port name 'http-80' already defined",
                "error: spec.ports[1].number: service entry port 80 already defined",
            ],
        ),
        (
            entry({"number": 0, "protocol": "X"}, {"number": 1, "name": "A", "targetPort": 70000}),
            [
                "error: spec.ports[0]: port name must be set",
                "error: spec.ports[0].number: port number 0 must be in the range 1..65535",
                "error: spec.ports[0].protocol: unsupported protocol 'X'",
                (
                    "warning: spec.ports[1]: port 1 declares no protocol: proxies guess it from the first bytes of each "
                    "connection, and where the server speaks first, clients wait 1 s for it"
                ),
                "error: spec.ports[1].name: invalid port name: 'A' is no DNS-1123 label",
                "error: spec.ports[1].targetPort: port number 70000 must be in the range 1..65535",
            ],
        ),
        (
            entry(("TCP", 1), hosts=["a.com", "b.com"], addresses=["10.0.0.1"]),
            [
                (
                    "error: spec.hosts: multiple hosts provided with non-HTTP, non-TLS ports: connections do not say which of "
                    "them they are for"
                )
            ],
        ),
        (
            entry(resolution="STATIC", endpoints=[{"address": "10.0.0.1"}], workloadSelector={"labels": {"a": "b"}}),
            ["error: spec: only one of WorkloadSelector or Endpoints is allowed in Service Entry"],
        ),
        (
            entry(endpoints=[{"address": "10.0.0.1"}]),
            ["error: spec.endpoints: no endpoints should be provided for resolution type none"],
        ),
        (
            entry(resolution="STATIC"),
            ["error: spec: nothing stands behind the hosts: there are no endpoints and no workloadSelector"],
        ),
        (
            entry(
                resolution="STATIC",
                endpoints=[{"address": "a.com", "ports": {"x": 1}}, {}, {"weight": -1, "address": "1.1.1.1"}],
            ),
            [
                "error: spec.endpoints[0].address: 'a.com' is not a valid IP address",
                "error: spec.endpoints[0].ports.x: endpoint port 'x' is not defined by the service entry",
                "error: spec.endpoints[1]: address is required",
                "error: spec.endpoints[2].weight: weight -1 < 0",
            ],
        ),
        (
            entry(resolution="DNS", hosts=["*.a.com"]),
            ["error: spec.hosts[0]: hosts must be FQDN if no endpoints are provided for resolution mode DNS"],
        ),
        (
            entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.com"}, {"address": "b.com"}]),
            ["error: spec.endpoints: there must only be 0 or 1 endpoint for resolution type DNS_ROUND_ROBIN"],
        ),
        (
            entry(exportTo=["*", "."]),
            ["error: spec.exportTo: cannot have both public (*) and non-public exportTo values for a resource"],
        ),
        (
            entry(resolution="DNS", workloadSelector={}),
            ["error: spec.workloadSelector: workloadSelector needs `labels`: an empty one selects nothing"],
        ),
    ],
)
def test_rules_of_a_service_entry(loaded: Loaded, expected: list[str]) -> None:
    assert sorted(said(loaded)) == sorted(expected)


def test_rules_of_names_that_clients_ask_for() -> None:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 8443}, {"number": 80, "name": "http"}]
    assert said(entry(resolution="DYNAMIC_DNS", hosts=["*.example.com"], ports=ports)) == []
    wrong = entry(
        resolution="DYNAMIC_DNS",
        hosts=["a.example.com"],
        ports=[{"number": 90, "name": "tcp", "protocol": "TCP"}],
        addresses=["10.0.0.1"],
        endpoints=[{"address": "10.0.0.1"}],
    )
    assert sorted(said(wrong)) == [
        "error: spec.addresses: no addresses should be provided for resolution DYNAMIC_DNS",
        "error: spec.endpoints: no endpoints should be provided for resolution DYNAMIC_DNS",
        "error: spec.hosts[0]: hosts must be wildcards for resolution DYNAMIC_DNS: 'a.example.com'",
        (
            "error: spec.ports[0].protocol: resolution DYNAMIC_DNS is for HTTP and TLS, and port 90 carries bytes: they "
            "name no host"
        ),
    ]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {
                "resolution": "DYNAMIC_DNS",
                "hosts": ["*.example.com"],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            },
            "spec.ports[0].targetPort",
        ),
        ({"addresses": ["2001:db8::1"]}, "spec.addresses[0]"),
        ({"resolution": "STATIC", "endpoints": [{"address": "unix:///a"}]}, "spec.endpoints[0].address"),
        ({"resolution": "STATIC", "endpoints": [{"address": "10.0.0.1", "network": "a"}]}, "spec.endpoints[0].network"),
    ],
)
def test_what_is_not_implemented_is_an_error(spec: dict[str, Any], path: str) -> None:
    loaded = entry(**json.loads(json.dumps(spec)))
    assert [problem.path for problem in loaded.problems if problem.code == "NotImplemented"] == [path]


def test_udp_is_not_implemented() -> None:
    assert [problem.path for problem in entry(("UDP", 53)).problems] == ["spec.ports[0].protocol"]


@pytest.mark.parametrize(
    ("address", "spec", "expected"),
    [
        ("192.0.2.1", {"ports": {"http": 80}, "weight": 1, "labels": {"a": "b"}, "serviceAccount": "a"}, []),
        ("", {}, ["error: spec: address is required"]),
        ("*.a.com", {}, ["error: spec.address: endpoint address '*.a.com' is not valid: it is no single name"]),
        ("a_b.com", {}, ["error: spec.address: domain name 'a_b.com' invalid (label 'a_b' invalid)"]),
        ("a.com", {"ports": {"http": 0}}, ["error: spec.ports.http: port number 0 must be in the range 1..65535"]),
        ("a.com", {"serviceAccount": "A"}, ["error: spec.serviceAccount: 'A' is not a valid service account"]),
    ],
)
def test_rules_of_a_workload_entry(address: str, spec: dict[str, Any], expected: list[str]) -> None:
    assert said(load(workload_entry("a", address, **spec), "f")) == expected
