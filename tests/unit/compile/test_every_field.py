"""No field is read and ignored: each one that is implemented changes what some proxy receives.

The templates hold two values for every such field. Whoever implements a field adds it here, or the first test fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.compiled import all_proxies
from tests.support.fields import ABSENT, Two, Variant, covered, implemented, usual, variants
from tests.support.worlds import Snapshots, read
from tests.support.written import (
    destination_rule,
    envoy_filter,
    gateway,
    gateway_workload,
    patch,
    server,
    service,
    service_entry,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.kinds import IMPLEMENTED
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.model import Model
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.rate_limit import RateLimitSpec
from mizzen.resources.secret import SecretSpec
from mizzen.resources.service import ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec

SERVICES = (
    service("reviews", ("http", 9080), ("grpc", 9081), ("tcp", 9082)),
    service("ratings", ("http", 9080)),
    service("secure", ("tls", 9443)),
    service("other", ("http", 9080), namespace="elsewhere"),
)
WORKLOADS = (
    workload(
        "reviews-v1",
        ("http", 9080),
        ("grpc", 9081),
        ("tcp", 9082),
        labels={"app": "reviews", "version": "v1", "a": "1", "istio-locality": "us"},
    ),
    workload(
        "reviews-v2", ("http", 9080), labels={"app": "reviews", "version": "v2", "a": "2", "istio-locality": "ap"}
    ),
    workload("ratings", ("http", 9080), labels={"app": "ratings", "istio-locality": "eu.a"}),
    workload("other", ("http", 9080), namespace="elsewhere"),
)
DELEGATES = [
    virtual_service(name, {"directResponse": {"status": status}}, namespace=namespace, hosts=[])
    for name, namespace, status in (("one", "elsewhere", 401), ("two", "elsewhere", 402), ("one", "default", 403))
]
AT_GATEWAYS = (
    gateway_workload(),
    virtual_service("outside", to("reviews"), hosts=["*"], gateways=["subject", "edge"]),
)
SUBSETS = destination_rule("ratings", subsets=[{"name": "v1"}, {"name": "v2"}]) + destination_rule(
    "reviews", trafficPolicy={"outlierDetection": {"interval": "1s"}}
)
TO_SUBSET = virtual_service(
    "reviews", hosts=["reviews"], http=[], tcp=[to("ratings", "v1", match=[{"port": 9082, "sourceLabels": {"a": "1"}}])]
)
# For calls from "default" only if its namespace is that of the mesh's root.
FROM_ELSEWHERE = destination_rule(
    "secure",
    host="secure.default.svc.cluster.local",
    namespace="elsewhere",
    trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
)


def string_matches() -> list[dict[str, Any]]:
    return [{"exact": Two("/a", "/b")}, {"prefix": Two("/c", "/d")}, {"regex": Two("/e.*", "/f.*")}]


def headers() -> dict[str, Any]:
    return {
        side: {
            "set": {"x-set": Two("1", "2")},
            "add": {"x-add": Two("1", "2")},
            "remove": [Two("x-remove", "x-remove-2")],
        }
        for side in ("request", "response")
    }


def retrying(**fields: Any) -> dict[str, Any]:
    return {"match": [{"uri": {"prefix": "/retries"}}], **to_ratings(), "retries": {"attempts": 3, **fields}}


def faulty(**fault: Any) -> dict[str, Any]:
    return {"match": [{"uri": {"prefix": "/faults"}}], "fault": fault, **to_ratings()}


def faults() -> list[dict[str, Any]]:
    return [
        {"delay": {"fixedDelay": Two("1s", "2s"), "percentage": {"value": Two(1, 2)}}},
        {"delay": {"fixedDelay": "1s", "percent": Two(1, 2)}},
        {"abort": {"httpStatus": Two(500, 501), "percentage": {"value": Two(1, 2)}}},
        {"abort": {"grpcStatus": Two("UNAVAILABLE", "INTERNAL"), "percentage": {"value": 1}}},
    ]


def cors() -> list[dict[str, Any]]:
    fields = {
        "allowMethods": [Two("GET", "POST")],
        "allowHeaders": [Two("x-a", "x-b")],
        "exposeHeaders": [Two("x-c", "x-d")],
        "maxAge": Two("1s", "2s"),
        "allowCredentials": Two(True, False),
        "unmatchedPreflights": Two("IGNORE", "FORWARD"),
    }
    origins = [{"allowOrigins": [match]} for match in string_matches()]
    return [{"allowOrigin": [Two("https://a", "https://b")], **fields}, *origins]


def to_ratings(**fields: Any) -> dict[str, Any]:
    return {"route": [{"destination": {"host": "ratings"}, **fields}]}


def matches() -> list[dict[str, Any]]:
    named = [{name: match} for name in ("uri", "scheme", "method", "authority") for match in string_matches()]
    keyed = [
        {name: {"x": match}} for name in ("headers", "withoutHeaders", "queryParams") for match in string_matches()
    ]
    rest = {
        "name": Two("one", "another"),
        "statPrefix": Two("one", "another"),
        "ignoreUriCase": Two(False, True),
        "port": Two(9080, 9081),
        "sourceLabels": {"app": Two("ratings", "other")},
        "sourceNamespace": Two("default", "elsewhere"),
    }
    single = [{"uri": {"prefix": f"/{name}"}, name: two} for name, two in rest.items()]
    # Naming gateways turns the conditions on the source off.
    gateways = {"uri": {"prefix": "/g"}, "sourceNamespace": "elsewhere", "gateways": Two(ABSENT, ["mesh"])}
    return [*named, *keyed, *single, gateways]


ROUTES = [
    {"name": Two("first", "second"), **to_ratings()},
    *({"match": [match], **to_ratings()} for match in matches()),
    {
        "match": [{"uri": {"prefix": "/destinations"}}],
        "timeout": Two("1s", "2s"),
        "headers": headers(),
        "route": [
            {
                "destination": {
                    "host": Two("ratings", "reviews"),
                    "subset": Two("v1", ABSENT),
                    "port": {"number": Two(9080, 9081)},
                },
                "weight": Two(10, 20),
                "headers": headers(),
            },
            {"destination": {"host": "ratings"}, "weight": 90},
        ],
    },
    {
        "match": [{"uri": {"prefix": "/redirect"}}],
        "redirect": {
            "uri": Two("/x", "/y"),
            "authority": Two("a.example", "b.example"),
            "scheme": Two("http", "https"),
            "port": Two(8080, 8081),
            "redirectCode": Two(301, 302),
        },
    },
    {
        "match": [{"uri": {"prefix": "/redirect/prefix"}}],
        "redirect": {"prefixRewrite": Two("/x", "/y"), "derivePort": Two("FROM_REQUEST_PORT", ABSENT)},
    },
    {
        "match": [{"uri": {"prefix": "/direct"}}],
        "directResponse": {"status": Two(503, 504), "body": {"string": Two("no", "never")}},
    },
    {
        "match": [{"uri": {"prefix": "/direct/bytes"}}],
        "directResponse": {"status": 503, "body": {"bytes": Two("bm8=", "bmV2ZXI=")}},
    },
    {
        "match": [{"uri": {"prefix": "/rewrite"}}],
        "rewrite": {"uri": Two("/x", "/y"), "authority": Two("a.example", "b.example")},
        **to_ratings(),
    },
    {
        "match": [{"uri": {"prefix": "/rewrite/regex"}}],
        "rewrite": {"uriRegexRewrite": {"match": Two("/a(.*)", "/b(.*)"), "rewrite": Two(r"/x\1", r"/y\1")}},
        **to_ratings(),
    },
    {"match": [{"uri": {"prefix": "/attempts"}}], "retries": {"attempts": Two(3, 4)}, **to_ratings()},
    retrying(perTryTimeout=Two("1s", "2s")),
    retrying(retryOn=Two("5xx", "reset,503")),
    retrying(retryIgnorePreviousHosts=Two(True, False)),
    retrying(backoff=Two("1s", "2s")),
    retrying(retryRemoteLocalities=Two(True, False)),
    *(faulty(**fault) for fault in faults()),
    {
        "match": [{"uri": {"prefix": "/mirror"}}],
        "mirror": {"host": Two("ratings", "reviews"), "subset": Two("v1", ABSENT), "port": {"number": Two(9080, 9081)}},
        "mirrorPercentage": {"value": Two(1, 2)},
        **to_ratings(),
    },
    {
        "match": [{"uri": {"prefix": "/mirror/percent"}}],
        "mirror": {"host": "ratings"},
        "mirrorPercent": Two(1, 2),
        **to_ratings(),
    },
    {
        "match": [{"uri": {"prefix": "/mirrors"}}],
        "mirrors": [
            {
                "destination": {
                    "host": Two("ratings", "reviews"),
                    "subset": Two("v1", ABSENT),
                    "port": {"number": Two(9080, 9081)},
                },
                "percentage": {"value": Two(1, 2)},
            }
        ],
        **to_ratings(),
    },
    *({"match": [{"uri": {"prefix": "/cors"}}], "corsPolicy": policy, **to_ratings()} for policy in cors()),
]


def l4_matches(port: int = 9082) -> list[dict[str, Any]]:
    return [
        {"destinationSubnets": [Two("0.0.0.0/0", "10.0.0.0/8")]},
        {"port": Two(port, 9080)},
        {"sourceLabels": {"app": Two("ratings", "other")}},
        {"sourceNamespace": Two("default", "elsewhere")},
        {"gateways": Two(ABSENT, ["edge"])},
    ]


def l4_routes() -> list[dict[str, Any]]:
    destination = {
        "host": Two("ratings", "reviews"),
        "subset": Two("v1", ABSENT),
        "port": {"number": Two(9080, 9082)},
    }
    divided = {"route": [{"destination": destination, "weight": Two(10, 20)}, to_ratings(weight=90)["route"][0]]}
    return [divided, *({"match": [match], **to_ratings()} for match in l4_matches())]


def tls_routes() -> list[dict[str, Any]]:
    (divided, *_) = l4_routes()
    named = [{"sniHosts": [Two("a.example.com", "*.example.com")]}]
    matches = [{"sniHosts": ["a.example.com"], **match} for match in l4_matches(9443)]
    return [divided | {"match": named}, *({"match": [match], **to_ratings()} for match in matches)]


VIRTUAL_SERVICES = [
    {"hosts": [Two("reviews", "ratings")], "exportTo": Two(["*"], ["."]), "http": [to_ratings()]},
    {"hosts": ["reviews"], "gateways": Two(["mesh"], ["mesh", "edge"]), "http": [to_ratings()]},
    *({"hosts": ["reviews"], "http": [route]} for route in ROUTES),
    {"hosts": ["reviews"], "http": [{"delegate": {"name": Two("one", "two"), "namespace": "elsewhere"}}]},
    {"hosts": ["reviews"], "http": [{"delegate": {"name": "one", "namespace": Two("elsewhere", ABSENT)}}]},
    *({"hosts": ["reviews"], "tcp": [route]} for route in l4_routes()),
    *({"hosts": ["secure", "*.example.com"], "tls": [route]} for route in tls_routes()),
]


def policy() -> dict[str, Any]:
    tcp = {
        "maxConnections": Two(10, 11),
        "connectTimeout": Two("1s", "2s"),
        "tcpKeepalive": {"probes": Two(1, 2), "time": Two("10s", "20s"), "interval": Two("1s", "2s")},
        "maxConnectionDuration": Two("60s", "61s"),
    }
    http = {
        "http1MaxPendingRequests": Two(10, 11),
        "http2MaxRequests": Two(20, 21),
        "maxRequestsPerConnection": Two(30, 31),
        "maxRetries": Two(40, 41),
        "idleTimeout": Two("5s", "6s"),
        "h2UpgradePolicy": Two("UPGRADE", "DO_NOT_UPGRADE"),
        "maxConcurrentStreams": Two(50, 51),
        "http2KeepAlive": {"interval": Two("7s", "8s"), "timeout": Two("9s", "10s")},
    }
    return {
        "loadBalancer": {
            "simple": Two("LEAST_REQUEST", "ROUND_ROBIN"),
            "warmup": {"duration": Two("1s", "2s"), "minimumPercent": Two(1, 2), "aggression": Two(1.5, 2)},
        },
        "connectionPool": {"tcp": tcp, "http": http},
        "tls": Two({"mode": "ISTIO_MUTUAL"}, ABSENT),
        "outlierDetection": {
            "consecutive5xxErrors": Two(1, 2),
            "consecutiveGatewayErrors": Two(3, 4),
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": Two(5, 6),
            "interval": Two("1s", "2s"),
            "baseEjectionTime": Two("3s", "4s"),
            "maxEjectionPercent": Two(7, 8),
            "minHealthPercent": Two(9, 10),
            "outlierDetectionHttpErrorCodes": [Two(429, 500), 503],
        },
    }


def rest_of_policy() -> dict[str, Any]:
    """What other fields of a connection pool would turn off or do not allow."""
    return {
        "connectionPool": {"tcp": {"idleTimeout": Two("30s", "31s")}, "http": {"useClientProtocol": Two(False, True)}},
        "outlierDetection": {"splitExternalLocalOriginErrors": Two(False, True)},
        "loadBalancer": {"warmupDurationSecs": Two("1s", "2s")},
    }


def tls() -> list[dict[str, Any]]:
    outward = {
        "clientCertificate": Two("/a.pem", "/b.pem"),
        "privateKey": Two("/a.key", "/b.key"),
        "caCertificates": Two("/ca.pem", ABSENT),
        "caCrl": Two("/crl.pem", ABSENT),
        "sni": Two("a.example.com", ABSENT),
        "subjectAltNames": Two(["a.example.com"], ["b.example.com"]),
    }
    one: list[dict[str, Any]] = [
        {"mode": Two("SIMPLE", "DISABLE")},
        {"mode": "SIMPLE", "insecureSkipVerify": Two(True, False)},
        {"mode": "MUTUAL", **outward},
        {"mode": "MUTUAL", "credentialName": Two("a", "b")},
    ]
    return [{"tls": settings} for settings in one]


def counted_values() -> list[dict[str, Any]]:
    return [{"header": Two("x-a", "x-b")}, {"queryParameter": Two("a", "b")}, {"clientAddress": True}]


def rate_limits() -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = [
        *({"uri": one} for one in string_matches()),
        {"uri": {"exact": "/a"}, "ignoreUriCase": Two(True, False)},
        *({name: one} for name in ("method", "authority") for one in string_matches()),
        *({name: {"x-a": one}} for name in ("headers", "withoutHeaders", "queryParams") for one in string_matches()),
    ]
    matches = [*conditions, {"route": Two("reviews/one", "reviews/two")}]
    limits = [{"name": f"at-{at}", "match": one, "requests": 1, "unit": "HOUR"} for at, one in enumerate(matches)]
    written = {"key": Two("k", "l"), "value": Two("1", "2")}
    entries = [written, {"key": "second", "value": "2"}, *({"key": "k"} | one for one in counted_values())]
    rest = {
        "name": Two("all", "each"),
        "per": counted_values(),
        "requests": Two(5, 6),
        "unit": Two("SECOND", "MINUTE"),
        "burst": Two(7, 8),
        "shadow": Two(True, False),
    }
    asking = {
        "server": {"host": Two("reviews", "ratings"), "port": Two(9081, 9080)},
        "domain": Two("a", "b"),
        "descriptors": [{"match": one, "entries": entries} for one in conditions],
        "timeout": Two("1s", "2s"),
        "failureMode": Two("ALLOW", "DENY"),
    }
    common = {"enforced": {"value": Two(10, 20)}, "status": Two(429, 503), "responseHeaders": Two(True, False)}
    by_address = Two([{"key": "k", "clientAddress": True}], [{"key": "k", "value": "1"}])
    return [
        {"selector": {"matchLabels": {"app": Two("reviews", "ratings")}}, "limits": [rest, *limits], **common},
        {"connections": {"new": Two(5, 6), "unit": Two("SECOND", "MINUTE"), "burst": Two(7, 8), "open": Two(9, 10)}},
        {"limits": [{"name": "a", "requests": 1, "unit": "DAY", "per": Two([{"clientAddress": True}], ABSENT)}]},
        {"global": asking},
        {
            "global": {
                "server": {"host": "reviews", "port": 9081},
                "domain": "a",
                "descriptors": [{"entries": by_address}],
            }
        },
    ]


def hashing() -> list[dict[str, Any]]:
    cookie = {
        "name": Two("a", "b"),
        "path": Two("/a", "/b"),
        "ttl": Two("0s", "1s"),
        "attributes": [{"name": Two("a", "b"), "value": Two("1", "2")}],
    }
    ways: list[dict[str, Any]] = [
        {"httpHeaderName": Two("x-a", "x-b")},
        {"httpCookie": cookie},
        {"useSourceIp": Two(True, False)},
        {"httpQueryParameterName": Two("a", "b")},
    ]
    sizes: list[dict[str, Any]] = [
        {"ringHash": {"minimumRingSize": Two(1, 2)}},
        {"maglev": {"tableSize": Two(7, 11)}},
        {"minimumRingSize": Two(1, 2)},
    ]
    found = [*ways, *({"httpHeaderName": "x-a", **size} for size in sizes)]
    return [{"loadBalancer": {"consistentHash": one}} for one in found]


def locality() -> list[dict[str, Any]]:
    failover = {"failover": [{"from": Two("eu", "af"), "to": Two("us", "ap")}], "enabled": Two(True, False)}
    priority = {"failoverPriority": [Two("a=1", "a=2")]}
    distribute = {"distribute": [{"from": Two("eu/*", "af"), "to": Two({"us": 80, "ap": 20}, {"us": 100})}]}
    return [failover, priority, distribute]


def by_place() -> Iterator[dict[str, Any]]:
    for setting in locality():
        policy = {"outlierDetection": {"interval": "1s"}, "loadBalancer": {"localityLbSetting": setting}}
        everywhere = {"name": "all", "labels": {"app": "reviews"}}
        yield {"trafficPolicy": policy}
        yield {"trafficPolicy": by_port(policy)}
        yield {"subsets": [{**everywhere, "trafficPolicy": policy}]}
        yield {"subsets": [{**everywhere, "trafficPolicy": by_port(policy)}]}


def by_port(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"portLevelSettings": [{"port": {"number": Two(9080, 9082)}, **settings}]}


def in_subset(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"subsets": [{"name": Two("v1", "v2"), "labels": {"a": Two("1", "2")}, "trafficPolicy": settings}]}


def rule(**fields: Any) -> dict[str, Any]:
    return {"host": Two("reviews", "ratings"), "exportTo": Two(["*"], ["."]), **fields}


DESTINATION_RULES = [
    rule(**where)
    for settings in [policy(), rest_of_policy(), *tls(), *hashing()]
    for where in (
        {"trafficPolicy": settings},
        {"trafficPolicy": by_port(settings)},
        in_subset(settings),
        in_subset(by_port(settings)),
    )
] + [{"host": "reviews", **fields} for fields in by_place()]


def rest_of_rules() -> Iterator[dict[str, Any]]:
    budget = {"percent": Two(10, 20), "minRetryConcurrency": Two(1, 2), "budgetInterval": Two("1s", "2s")}
    tunnel = {
        "protocol": Two("CONNECT", "POST"),
        "targetHost": Two("a.example.com", "b.example.com"),
        "targetPort": Two(443, 444),
    }
    for settings in ({"retryBudget": budget, "proxyProtocol": {"version": Two("V1", "V2")}}, {"tunnel": tunnel}):
        yield {"host": "reviews", "trafficPolicy": settings}
        yield {"host": "ratings", "subsets": [{"name": "v1", "trafficPolicy": settings}]}
    policy = {"loadBalancer": {"simple": "RANDOM"}}
    yield {
        "host": "reviews",
        "workloadSelector": {"matchLabels": {"app": Two("ratings", "reviews")}},
        "trafficPolicy": policy,
    }


DESTINATION_RULES += rest_of_rules()

ISTIO_TLS = {"security.istio.io/tlsMode": "istio"}
SERVICE_ENTRIES = [
    {
        "hosts": [Two("a.example.com", "*.b.example.com")],
        "addresses": Two(["192.0.2.1"], ["192.0.2.0/24"]),
        "ports": [
            {"number": Two(9180, 9181), "name": "a", "protocol": Two("HTTP", "TCP")},
            {"number": 9182, "name": Two("tcp-b", "http-b")},
        ],
        "exportTo": Two(["*"], ["."]),
        "resolution": "NONE",
    },
    {
        "hosts": ["a.example.com"],
        "ports": [{"number": 9180, "name": "http", "targetPort": Two(80, 81)}],
        "resolution": Two("DNS", "DNS_ROUND_ROBIN"),
    },
    {
        "hosts": ["a.example.com"],
        "ports": [{"number": 9180, "name": "http"}],
        "location": Two("MESH_INTERNAL", "MESH_EXTERNAL"),
        "subjectAltNames": [Two("spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/d")],
        "resolution": "STATIC",
        "endpoints": [
            {
                "address": Two("192.0.2.1", "192.0.2.2"),
                "ports": {"http": Two(80, 81)},
                "labels": Two(ISTIO_TLS, ABSENT),
                "weight": Two(1, 2),
                "locality": Two("eu/a", "eu/b"),
                "serviceAccount": Two("a", "b"),
            }
        ],
    },
    {
        "hosts": ["a.example.com"],
        "ports": [{"number": 9080, "name": "http"}],
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": Two("ratings", "reviews")}},
    },
]

# Its port is that of the service "reviews".
WORKLOAD_ENTRY = {
    "address": Two("192.0.2.1", "192.0.2.2"),
    "ports": {"http": Two(80, 81)},
    "labels": Two({"app": "reviews"}, {"app": "ratings"}),
    "weight": Two(1, 2),
    "locality": Two("eu/a", "eu/b"),
    "serviceAccount": Two("a", "b"),
}

SERVICE = {
    "selector": {"app": Two("reviews", "ratings")},
    "ports": [
        {"port": Two(9180, 9181), "targetPort": Two(9080, 9082), "name": Two("http", "tcp")},
        {"port": 9182, "targetPort": "http", "name": "a", "appProtocol": Two("http", "grpc")},
    ],
}


def tls_files() -> dict[str, Any]:
    return {"mode": "SIMPLE", "serverCertificate": "a.pem", "privateKey": "a-key.pem"}


def secure_server(**tls: Any) -> dict[str, Any]:
    return {"port": {"number": 443, "name": "a", "protocol": "HTTPS"}, "hosts": ["*"], "tls": {**tls_files(), **tls}}


def tls_fields() -> list[dict[str, Any]]:
    mutual: dict[str, Any] = {"mode": "MUTUAL", "caCertificates": "ca.pem"}
    return [
        {"serverCertificate": Two("a.pem", "b.pem"), "privateKey": Two("a-key.pem", "b-key.pem")},
        {**mutual, "mode": Two("MUTUAL", "OPTIONAL_MUTUAL")},
        {**mutual, "caCertificates": Two("ca.pem", "other.pem"), "subjectAltNames": [Two("a.example", "b.example")]},
        {**mutual, "verifyCertificateSpki": [Two("YQ==", "Yg==")], "verifyCertificateHash": [Two("aa", "bb")]},
        {"minProtocolVersion": Two("TLS_AUTO", "TLSV1_3"), "maxProtocolVersion": Two("TLS_AUTO", "TLSV1_3")},
        {"cipherSuites": [Two("AES128-SHA", "AES256-SHA")]},
        {**mutual, "caCrl": Two("crl.pem", ABSENT), "insecureSkipVerify": Two(True, False)},
    ]


def credentials() -> list[dict[str, Any]]:
    pair = {"serverCertificate": Two("a.pem", "b.pem"), "privateKey": Two("a-key.pem", "b-key.pem")}
    return [
        {"mode": "SIMPLE", "credentialName": Two("a", "b")},
        {"mode": "SIMPLE", "credentialNames": [Two("a", "b")]},
        {"mode": "SIMPLE", "tlsCertificates": [pair]},
        {"mode": "MUTUAL", "credentialName": "a", "caCertCredentialName": Two("b", "c")},
    ]


GATEWAYS: list[dict[str, Any]] = [
    {
        "selector": {"istio": Two("ingressgateway", "other")},
        "servers": [
            {
                "port": {"number": Two(80, 8081), "name": "a", "protocol": "HTTP"},
                "bind": Two(ABSENT, "127.0.0.2"),
                "hosts": [Two("*", "reviews.example.com"), "ratings"],
                "tls": {"httpsRedirect": Two(False, True)},
            }
        ],
    },
    *({"servers": [secure_server(**fields)]} for fields in tls_fields()),
    *({"servers": [{**secure_server(), "tls": fields}]} for fields in credentials()),
    {
        "servers": [
            {
                "port": {"number": 443, "name": Two("a", "b"), "protocol": Two("HTTPS", "TLS")},
                "hosts": ["*"],
                "tls": tls_files(),
            }
        ]
    },
]


def inbound_pools() -> list[dict[str, Any]]:
    """What a pool says of connections to an application, to which nobody upgrades."""
    first, second = (
        {name: dict(one) for name, one in each()["connectionPool"].items()} for each in (policy, rest_of_policy)
    )
    del first["http"]["h2UpgradePolicy"]
    return [first, second]


SIDECARS: list[dict[str, Any]] = [
    {
        "workloadSelector": {"labels": {"app": Two("ratings", "reviews")}},
        "egress": [
            {
                "port": {"number": Two(9080, 9081), "protocol": Two("HTTP", "TCP"), "name": "a"},
                "bind": Two(ABSENT, "127.0.0.2"),
                "captureMode": Two("DEFAULT", "NONE"),
                "hosts": [Two("./*", "elsewhere/*")],
            }
        ],
        "outboundTrafficPolicy": {"mode": Two("ALLOW_ANY", "REGISTRY_ONLY")},
    },
    {
        "outboundTrafficPolicy": {
            "mode": "ALLOW_ANY",
            "egressProxy": {
                "host": Two("ratings", "reviews"),
                "subset": Two("v1", ABSENT),
                "port": {"number": Two(9080, 9081)},
            },
        }
    },
    {
        "workloadSelector": {"labels": {"app": "ratings"}},
        "ingress": [
            {
                "port": {"number": Two(9080, 9085), "protocol": Two("HTTP", "GRPC"), "name": "a"},
                "bind": Two("127.0.0.3", ABSENT),
                "captureMode": Two("NONE", "DEFAULT"),
                "defaultEndpoint": Two("127.0.0.1:80", "unix:///a"),
            }
        ],
    },
    *(
        {"ingress": [{"port": {"number": 9081, "protocol": "GRPC", "name": "a"}, "connectionPool": pool}]}
        for pool in inbound_pools()
    ),
    *({"inboundConnectionPool": pool} for pool in inbound_pools()),
]

# What else a Workload says concerns the node alone: see tests/unit/node/test_every_field.py.
WORKLOAD = {
    "command": ["serve"],
    "replicas": Two(1, 2),
    "serviceAccount": Two("default", "shop"),
    "ports": [{"containerPort": 9190, "name": "a", "appProtocol": Two("http", "tcp")}],
}


@dataclass(frozen=True)
class Subject:
    """A kind, and a template for its specification."""

    model: type[Model]
    api_version: str
    kind: str
    template: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=lambda: {"app": "subject"})

    def written(self, spec: Mapping[str, Any]) -> str:
        metadata = {"name": "subject", "namespace": "default", "labels": dict(self.labels)}
        return json.dumps({"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, "spec": spec})


def outward_tls() -> list[dict[str, Any]]:
    return [one for one in tls() if "credentialName" not in one["tls"]]


MESH_BLOCKS = ("connectionPool", "outlierDetection")
MESH_CONFIGS: list[dict[str, Any]] = [
    {"outboundTrafficPolicy": {"mode": Two("REGISTRY_ONLY", "ALLOW_ANY")}},
    {"outboundTrafficPolicy": {"mode": Two("ALLOW_ANY_DYNAMIC_DNS", "ALLOW_ANY")}},
    *({"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS", **one}} for one in outward_tls()),
    *({"localityLbSetting": setting} for setting in locality()),
    {
        "rootNamespace": Two("istio-system", "elsewhere"),
        "connectTimeout": Two("1s", "2s"),
        "tcpKeepalive": {"probes": Two(1, 2), "time": Two("10s", "20s"), "interval": Two("1s", "2s")},
        "defaultServiceExportTo": [Two("*", ".")],
        "defaultVirtualServiceExportTo": [Two("*", ".")],
        "defaultDestinationRuleExportTo": [Two("*", ".")],
        "h2UpgradePolicy": Two("UPGRADE", "DO_NOT_UPGRADE"),
        "dnsRefreshRate": Two("10s", "20s"),
        "pathNormalization": {"normalization": Two("NONE", "MERGE_SLASHES")},
        "mizzen": {"retryOnlyUnsent": Two(True, False)},
    },
    *(
        {"defaultHttpRetryPolicy": {"attempts": 3, **one}}
        for one in (
            {"attempts": Two(3, 4), "perTryTimeout": Two("1s", "2s"), "retryOn": Two("5xx", "reset,503")},
            {"retryIgnorePreviousHosts": Two(True, False), "retryRemoteLocalities": Two(True, False)},
            {"backoff": Two("1s", "2s")},
        )
    ),
    {
        "defaultInboundHttpRetryPolicy": {
            "attempts": Two(3, 4),
            "perTryTimeout": Two("1s", "2s"),
            "retryOn": Two("5xx", "reset,503"),
            "backoff": Two("1s", "2s"),
        }
    },
    *(
        {"defaultTrafficPolicy": {name: block for name, block in one.items() if name in MESH_BLOCKS}}
        for one in (policy(), rest_of_policy())
    ),
]

LUA = {
    "name": "lua",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": "-- nothing"},
    },
}
MANAGER = "envoy.filters.network.http_connection_manager"


def patching(target: Any, operation: Any, value: Any, **match: Any) -> dict[str, Any]:
    return {
        "configPatches": [{"applyTo": target, "match": match, "patch": {"operation": operation, "value": value}}],
    }


def at_listener(**listener: Any) -> dict[str, Any]:
    return patching("HTTP_FILTER", "INSERT_FIRST", LUA, context="SIDECAR_INBOUND", listener=listener)


def at_filter(**filter_: Any) -> dict[str, Any]:
    return patching(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        LUA,
        context="SIDECAR_OUTBOUND",
        listener={"filterChain": {"filter": {"name": MANAGER, **filter_}}},
    )


def at_routes(**config: Any) -> dict[str, Any]:
    one, other = ({"response_headers_to_add": [{"header": {"key": key, "value": "1"}}]} for key in ("x-a", "x-b"))
    marked = Two(one, other)
    return patching("HTTP_ROUTE", "MERGE", marked, routeConfiguration=config)


def at_cluster(**cluster: Any) -> dict[str, Any]:
    return patching("CLUSTER", "MERGE", Two({"connect_timeout": "1s"}, {"connect_timeout": "2s"}), cluster=cluster)


RATINGS = "ratings.default.svc.cluster.local"
PREREAD = {
    "name": "names",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}
ENVOY_FILTERS: list[dict[str, Any]] = [
    {
        "workloadSelector": {"labels": {"app": Two("ratings", "reviews")}},
        **patching(
            "HTTP_FILTER", Two("INSERT_FIRST", "INSERT_AFTER"), LUA, context=Two("SIDECAR_OUTBOUND", "SIDECAR_INBOUND")
        ),
    },
    at_listener(portNumber=Two(9080, 1)),
    at_listener(name=Two("virtualInbound", "other")),
    *(
        at_listener(filterChain={name: Two(*values)})
        for name, values in {
            "name": ("inbound|9080||", "other"),
            "transportProtocol": ("tls", "raw_buffer"),
            "destinationPort": (9080, 1),
            "sni": ("a.example.com", ABSENT),
            "applicationProtocols": ("h2", ABSENT),
        }.items()
    ),
    at_filter(name=Two(MANAGER, "other")),
    at_filter(subFilter={"name": Two("envoy.filters.http.router", "envoy.filters.http.cors")}),
    patching(
        "LISTENER_FILTER",
        "INSERT_BEFORE",
        PREREAD,
        context="SIDECAR_INBOUND",
        listener={"listenerFilter": Two("envoy.filters.listener.original_dst", "other")},
    ),
    at_routes(portNumber=Two(9080, 1)),
    at_routes(name=Two("9080", "other")),
    at_routes(portName=Two(ABSENT, "other")),
    at_routes(gateway=Two(ABSENT, "default/other")),
    at_routes(vhost={"name": Two(f"{RATINGS}:9080", "other")}),
    at_routes(vhost={"domainName": Two(RATINGS, "other")}),
    at_routes(vhost={"route": {"name": Two("default", "other")}}),
    at_routes(vhost={"route": {"action": Two("ROUTE", "REDIRECT")}}),
    at_cluster(portNumber=Two(9080, 1)),
    at_cluster(service=Two(RATINGS, "other")),
    at_cluster(subset=Two("v1", "other")),
    at_cluster(name=Two(f"outbound|9080||{RATINGS}", "other")),
    patching(Two("CLUSTER", "LISTENER"), "ADD", {"name": "added"}),
    patching("CLUSTER", "MERGE", {"connect_timeout": "1s"}, proxy={"proxyVersion": Two(ABSENT, "1")}),
    patching(
        "CLUSTER", "MERGE", {"connect_timeout": "1s"}, proxy={"metadata": Two({"NAMESPACE": "default"}, {"A": "b"})}
    ),
    {
        "configPatches": [
            {
                "applyTo": "HTTP_FILTER",
                "patch": {"operation": "ADD", "value": LUA, "filterClass": Two("AUTHN", "STATS")},
            }
        ]
    },
    {
        "priority": Two(1, -1),
        "configPatches": [
            {"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": {"connect_timeout": "1s"}}},
        ],
    },
]

SUBJECTS = [
    *(Subject(VirtualServiceSpec, "networking.istio.io/v1", "VirtualService", one) for one in VIRTUAL_SERVICES),
    *(Subject(DestinationRuleSpec, "networking.istio.io/v1", "DestinationRule", one) for one in DESTINATION_RULES),
    *(Subject(GatewaySpec, "networking.istio.io/v1", "Gateway", one) for one in GATEWAYS),
    Subject(ServiceSpec, "v1", "Service", SERVICE),
    *(Subject(EnvoyFilterSpec, "networking.istio.io/v1alpha3", "EnvoyFilter", one) for one in ENVOY_FILTERS),
    *(Subject(ServiceEntrySpec, "networking.istio.io/v1", "ServiceEntry", one) for one in SERVICE_ENTRIES),
    Subject(WorkloadSpec, "mizzen.dev/v1alpha1", "Workload", WORKLOAD),
    *(Subject(MeshConfigSpec, "mizzen.dev/v1alpha1", "MeshConfig", one) for one in MESH_CONFIGS),
    *(Subject(SidecarSpec, "networking.istio.io/v1", "Sidecar", one) for one in SIDECARS),
    *(Subject(RateLimitSpec, "mizzen.dev/v1alpha1", "RateLimit", one) for one in rate_limits()),
    Subject(WorkloadEntrySpec, "networking.istio.io/v1", "WorkloadEntry", WORKLOAD_ENTRY, labels={}),
    Subject(WorkloadSpec, "mizzen.dev/v1alpha1", "Workload", {"gateway": {"address": Two("127.0.0.1", "0.0.0.0")}}),
]
VARIANTS = [
    pytest.param(subject, variant, id=f"{subject.kind}-{number}-{variant.path}-{index}")
    for number, subject in enumerate(SUBJECTS)
    for index, variant in enumerate(variants(subject.model, subject.template))
]

# Names of servers and of a Sidecar's ports are for people; the others are refused, or warned of, where they stand.
WITHOUT_EFFECT = {
    "servers.name",
    "servers.port.targetPort",
    "outboundTrafficPolicy.tls.credentialName",
    "ingress.port.name",
    "ingress.port.targetPort",
    "ingress.connectionPool.http.h2UpgradePolicy",
    "inboundConnectionPool.http.h2UpgradePolicy",
    "egress.port.name",
    "egress.port.targetPort",
    "defaultInboundHttpRetryPolicy.retryRemoteLocalities",
    "defaultInboundHttpRetryPolicy.retryIgnorePreviousHosts",
}

# Of two that change the same the later one has the last word.
OTHER_FILTER = (
    envoy_filter(
        "before", patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, cluster={"name": "PassthroughCluster"})
    ),
)

Received = dict[tuple[str, ...], bytes]


class Mesh:
    """Compiles worlds with one subject each, and remembers as a control plane does."""

    def __init__(self) -> None:
        self._compilers = {capture: (Compiler(), Snapshots(capture)) for capture in ("explicit", "transparent")}

    def receives(self, kind: str, subject: str) -> Received:
        """Returns all that all proxies receive, in both modes of capture."""
        others = {
            "Service": service("subject", ("http", 9180)),
            "VirtualService": virtual_service("ratings") + TO_SUBSET,
            "DestinationRule": SUBSETS,
            "ServiceEntry": service_entry("looked-up", ("HTTP", 8081), resolution="DNS"),
            "Gateway": gateway("edge", server(), selector={}),
        }
        resources = read(
            *OTHER_FILTER,
            *SERVICES,
            *WORKLOADS,
            *DELEGATES,
            FROM_ELSEWHERE,
            *AT_GATEWAYS,
            *(text for other, text in others.items() if other != kind),
            subject,
        )
        bodies: Received = {}
        for capture, (compiler, snapshots) in self._compilers.items():
            for proxy, given in all_proxies(compiler, snapshots.next(resources)).items():
                for type_url, named in given.items():
                    bodies |= {(capture, proxy, type_url, name): one.body for name, one in named.items()}
        return bodies


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.mark.parametrize(("subject", "variant"), VARIANTS)
def test_a_field_has_an_effect(mesh: Mesh, subject: Subject, variant: Variant) -> None:
    before = mesh.receives(subject.kind, subject.written(usual(subject.template)))
    assert mesh.receives(subject.kind, subject.written(variant.spec)) != before


MODELS = (
    VirtualServiceSpec,
    DestinationRuleSpec,
    EnvoyFilterSpec,
    GatewaySpec,
    SidecarSpec,
    ServiceSpec,
    ServiceEntrySpec,
    WorkloadEntrySpec,
    MeshConfigSpec,
    RateLimitSpec,
)


# Of these it is asked elsewhere: tests/unit/node/test_every_field.py, tests/unit/mesh/test_proxy_configs.py. Of a Secret nothing is
# compiled but that it is there.
ELSEWHERE = (WorkloadSpec, ProxyConfigSpec, SecretSpec)


def test_no_kind_is_left_out() -> None:
    assert {kind.model for kind in IMPLEMENTED} == {*MODELS, *ELSEWHERE}


@pytest.mark.parametrize("model", MODELS)
def test_every_field_that_is_implemented_is_looked_at(model: type[Model]) -> None:
    varied = {
        variant.path for subject in SUBJECTS if subject.model is model for variant in variants(model, subject.template)
    }
    assert [path for path in implemented(model) if not covered(path, varied | WITHOUT_EFFECT)] == []
