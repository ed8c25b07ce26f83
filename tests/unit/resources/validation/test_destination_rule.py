from __future__ import annotations

import textwrap

import pytest

from mizzen.resources.loading import Loaded, load


def destination_rule(spec: str) -> Loaded:
    head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n"
    return load(head + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n", "f")


def said(loaded: Loaded) -> list[str]:
    """Returns all problems but those of fields that are not implemented."""
    return [
        f"{problem.level}: {problem.path}: {problem.message}"
        for problem in loaded.problems
        if problem.code != "NotImplemented"
    ]


def policy(text: str) -> str:
    return f"host: a\ntrafficPolicy: {text}"


POLICY = "error: spec.trafficPolicy"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("subsets: []", ["error: spec.host: empty domain name not allowed"]),
        ("host: a_b", ["error: spec.host: domain name 'a_b' invalid (label 'a_b' invalid)"]),
        (
            "host: a\nsubsets: [{name: v1, labels: {version: v1}}, {name: v1}, {labels: {a: b}}, {name: V_2}]",
            [
                "error: spec.subsets[1].name: duplicate subset names: 'v1'",
                "error: spec.subsets[2]: subset name is invalid: `name` is required",
                "error: spec.subsets[3].name: subset name is invalid: 'V_2' is no DNS-1123 label",
            ],
        ),
        (policy("{}"), [f"{POLICY}: traffic policy must have at least one field"]),
        (policy("{connectionPool: {}}"), [f"{POLICY}.connectionPool: connection pool must have at least one field"]),
        (
            policy(
                "{portLevelSettings: [{loadBalancer: {simple: RANDOM}}, {port: {number: 0}}, {port: {number: 80}, "
                "loadBalancer: {simple: RANDOM}}, {port: {number: 80}, loadBalancer: {simple: RANDOM}}]}"
            ),
            [
                f"{POLICY}.portLevelSettings[0]: portLevelSettings must have a port",
                f"{POLICY}.portLevelSettings[1]: port level settings must have at least one field beside the port",
                f"{POLICY}.portLevelSettings[1].port.number: port number 0 must be in the range 1..65535",
                f"{POLICY}.portLevelSettings[3].port: duplicate portLevelSettings for port 80",
            ],
        ),
        (
            policy("{connectionPool: {tcp: {maxConnections: -1, connectTimeout: 0s, idleTimeout: 0s}}}"),
            [
                f"{POLICY}.connectionPool.tcp.maxConnections: maxConnections must be non-negative",
                f"{POLICY}.connectionPool.tcp.connectTimeout: duration must be greater than 1ms",
            ],
        ),
        (
            policy(
                "{connectionPool: {http: {http1MaxPendingRequests: -1, maxRetries: 4294967296, useClientProtocol: true,"
                " h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 1s}}}}"
            ),
            [
                f"{POLICY}.connectionPool.http.http1MaxPendingRequests: http1MaxPendingRequests must be non-negative",
                f"{POLICY}.connectionPool.http.maxRetries: maxRetries must be at most 2147483647 (int32)",
                (
                    f"{POLICY}.connectionPool.http.useClientProtocol: use client protocol must not be true when "
                    "H2UpgradePolicy is UPGRADE"
                ),
                f"{POLICY}.connectionPool.http.http2KeepAlive.timeout: http2KeepAlive timeout is required",
            ],
        ),
        (
            policy("{loadBalancer: {simple: PASSTHROUGH}}"),
            [
                (
                    "warning: spec.trafficPolicy.loadBalancer.simple: PASSTHROUGH leads to the address that the client dialled, "
                    "not to an endpoint of the service"
                )
            ],
        ),
        (
            policy("{loadBalancer: {simple: LEAST_CONN}}"),
            ["warning: spec.trafficPolicy.loadBalancer.simple: LEAST_CONN is deprecated"],
        ),
        (
            policy("{loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}"),
            [
                f"{POLICY}.loadBalancer: `simple` and `consistentHash` cannot be set together: keep one of them",
            ],
        ),
        (
            policy("{loadBalancer: {consistentHash: {minimumRingSize: 1, maglev: {tableSize: 10}}}}"),
            [
                f"{POLICY}.loadBalancer.consistentHash: only one of MinimumRingSize or Maglev/Ringhash can be specified",
                "warning: spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize: minimumRingSize is deprecated",
                (
                    f"{POLICY}.loadBalancer.consistentHash.maglev.tableSize: tableSize 10 must be a prime number below "
                    "5000011"
                ),
            ],
        ),
        (
            policy("{loadBalancer: {consistentHash: {httpHeaderName: '', ringHash: {minimumRingSize: 8388609}}}}"),
            [
                f"{POLICY}.loadBalancer.consistentHash.httpHeaderName: httpHeaderName must not be empty",
                f"{POLICY}.loadBalancer.consistentHash.ringHash.minimumRingSize: minimumRingSize must be in range [0, 8388608]",
            ],
        ),
        (
            policy("{loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: -1s}}}}"),
            [f"{POLICY}.loadBalancer.consistentHash.httpCookie.ttl: ttl must not be negative"],
        ),
        (
            policy("{loadBalancer: {consistentHash: {httpCookie: {attributes: [{name: a}, {name: a}]}}}}"),
            [
                f"{POLICY}.loadBalancer.consistentHash.httpCookie: name required for HttpCookie",
                f"{POLICY}.loadBalancer.consistentHash.httpCookie.attributes[1]: duplicate attribute name 'a'",
            ],
        ),
        (
            policy(
                "{loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {a/*: 80, a/b: 0}}], "
                "failover: [{from: a, to: a}, {from: b/c, to: '*'}]}}}"
            ),
            [
                (
                    f"{POLICY}.loadBalancer.localityLbSetting: can not simultaneously specify 'distribute' and 'failover' "
                    "or 'failover_priority'"
                ),
                (
                    "warning: spec.trafficPolicy.loadBalancer.localityLbSetting: outlier detection policy must be provided "
                    "for failover"
                ),
                f"{POLICY}.loadBalancer.localityLbSetting.distribute[0].to: total locality weight 80 != 100",
                (
                    f"{POLICY}.loadBalancer.localityLbSetting.distribute[0].to[a/b]: locality weight must be in range "
                    "[1, 100], not 0"
                ),
                f"{POLICY}.loadBalancer.localityLbSetting.distribute[0].to[a/b]: locality 'a/b' overlaps with 'a/*'",
                (
                    f"{POLICY}.loadBalancer.localityLbSetting.failover[0]: locality lb failover settings must specify "
                    "different regions"
                ),
                (
                    f"{POLICY}.loadBalancer.localityLbSetting.failover[1].from: locality lb failover only specify region, "
                    "not 'b/c'"
                ),
                (
                    f"{POLICY}.loadBalancer.localityLbSetting.failover[1].to: locality lb failover region '*' should not "
                    "contain '*' wildcard"
                ),
            ],
        ),
        (
            policy("{loadBalancer: {localityLbSetting: {enabled: true}, zoneAwareLbSetting: {enabled: true}}}"),
            [f"{POLICY}.loadBalancer: only one of localityLbSetting or zoneAwareLbSetting can be set"],
        ),
        (
            policy("{loadBalancer: {simple: RANDOM, warmupDurationSecs: 1s, warmup: {duration: 1s}}}"),
            [
                "warning: spec.trafficPolicy.loadBalancer: warm-up has no effect with RANDOM",
                "warning: spec.trafficPolicy.loadBalancer.warmupDurationSecs: warmupDurationSecs is deprecated",
                (
                    "warning: spec.trafficPolicy.loadBalancer.warmupDurationSecs: warmupDurationSecs has no effect beside "
                    "warmup"
                ),
            ],
        ),
        (
            policy("{loadBalancer: {warmup: {minimumPercent: 101, aggression: 0}}}"),
            [
                f"{POLICY}.loadBalancer.warmup: warmup duration is required",
                f"{POLICY}.loadBalancer.warmup.minimumPercent: minimumPercent must be in range [0, 100]",
                f"{POLICY}.loadBalancer.warmup.aggression: aggression must be greater than 0",
            ],
        ),
        (
            policy("{outlierDetection: {maxEjectionPercent: 101, consecutiveLocalOriginFailures: 1, interval: 0s}}"),
            [
                f"{POLICY}.outlierDetection.maxEjectionPercent: percentage 101 must be in range 0..100",
                (
                    f"{POLICY}.outlierDetection.consecutiveLocalOriginFailures: outlier detection consecutive local origin "
                    "failures is specified, but split external local origin errors is set to false"
                ),
                f"{POLICY}.outlierDetection.interval: duration must be greater than 1ms",
            ],
        ),
        (
            policy("{outlierDetection: {outlierDetectionHttpErrorCodes: [99, 100, 599, 600]}}"),
            [
                f"{POLICY}.outlierDetection.outlierDetectionHttpErrorCodes[{index}]: {code} is not an HTTP status code"
                for index, code in ((0, 99), (3, 600))
            ],
        ),
        (
            policy("{tls: {mode: MUTUAL}}"),
            [
                f"{POLICY}.tls: client certificate required for mutual tls",
                f"{POLICY}.tls: private key required for mutual tls",
            ],
        ),
        (
            policy("{tls: {mode: SIMPLE, credentialName: a, caCertificates: b, insecureSkipVerify: true}}"),
            [
                f"{POLICY}.tls: cannot specify client certificates or CA certificate or CA CRL If credentialName is set",
                f"{POLICY}.tls: cannot specify CA certificates or SANs if insecureSkipVerify is set to true",
                f"{POLICY}.tls.caCertificates: 'b' is no absolute path",
            ],
        ),
        (
            policy("{tls: {mode: SIMPLE, caCertificates: '-----BEGIN CERTIFICATE----- MII'}}"),
            [f"{POLICY}.tls.caCertificates: this is what is in a file, and the path of the file is meant"],
        ),
        (policy("{tls: {mode: MUTUAL, credentialName: a}}"), []),
        (
            policy("{tls: {mode: SIMPLE, credentialName: a/b}}"),
            [f"{POLICY}.tls.credentialName: 'a/b' is no name of a Secret"],
        ),
        (
            policy("{tls: {mode: ISTIO_MUTUAL, credentialName: a}}"),
            [f"{POLICY}.tls.credentialName: credentialName has no effect with mode ISTIO_MUTUAL"],
        ),
        (
            policy("{tls: {clientCertificate: /a, sni: a}}"),
            [
                f"{POLICY}.tls.clientCertificate: clientCertificate has no effect with mode DISABLE",
                f"{POLICY}.tls.sni: sni has no effect with mode DISABLE",
            ],
        ),
        (
            policy("{tls: {mode: ISTIO_MUTUAL, caCertificates: /a, subjectAltNames: [a, 'spiffe://b/ns/c/sa/d']}}"),
            [
                f"{POLICY}.tls.caCertificates: caCertificates has no effect with mode ISTIO_MUTUAL",
                f"{POLICY}.tls.subjectAltNames[0]: members of the mesh have no such name",
            ],
        ),
        (
            policy("{tls: {mode: SIMPLE, insecureSkipVerify: true}}"),
            [
                (
                    "warning: spec.trafficPolicy.tls.insecureSkipVerify: nobody checks who answers: whoever is on the way "
                    "can read and change what is sent"
                )
            ],
        ),
        (
            policy("{tunnel: {protocol: GET, targetHost: a, targetPort: 0}, proxyProtocol: {version: V2}}"),
            [
                f"{POLICY}: tunnel cannot be set together with proxyProtocol",
                f'{POLICY}.tunnel.protocol: tunnel protocol must be "CONNECT" or "POST"',
                f"{POLICY}.tunnel.targetPort: port number 0 must be in the range 1..65535",
            ],
        ),
        (
            "host: a\nexportTo: ['*']\nworkloadSelector: {matchLabels: {a: b}}",
            ["error: spec.exportTo: workloadSelector can only be used with exportTo `.`"],
        ),
        ("host: a\nexportTo: [a, b, a]", ["error: spec.exportTo: duplicate entries in exportTo: a"]),
        ("host: a\nexportTo: ['~', b]", ["error: spec.exportTo: cannot export to no one (~) and someone"]),
        ("host: a\nexportTo: [A_B]", ["error: spec.exportTo[0]: invalid namespace 'A_B' in exportTo"]),
    ],
)
def test_rules_of_a_destination_rule(spec: str, expected: list[str]) -> None:
    assert said(destination_rule(spec)) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            policy("{loadBalancer: {zoneAwareLbSetting: {enabled: true}}}"),
            ["spec.trafficPolicy.loadBalancer.zoneAwareLbSetting"],
        ),
        (policy("{loadBalancer: {localityLbSetting: {enabled: true}}}"), []),
        (policy("{loadBalancer: {consistentHash: {useSourceIp: true}}}"), []),
        (policy("{outlierDetection: {interval: 1s}}"), []),
        (
            policy("{outlierDetection: {consecutiveErrors: 1, outlierDetectionHttpErrorCodes: [500]}}"),
            ["spec.trafficPolicy.outlierDetection.consecutiveErrors"],
        ),
        *((policy(f"{{tls: {{mode: {mode}}}}}"), []) for mode in ("DISABLE", "SIMPLE", "ISTIO_MUTUAL")),
        (policy("{tls: {}}"), []),
        (policy("{tls: {mode: SIMPLE, caCrl: /a}}"), []),
        (policy("{retryBudget: {percent: 20}}"), []),
        (
            policy("{portLevelSettings: [{port: {number: 80}, loadBalancer: {zoneAwareLbSetting: {enabled: true}}}]}"),
            ["spec.trafficPolicy.portLevelSettings[0].loadBalancer.zoneAwareLbSetting"],
        ),
        ("host: a\nworkloadSelector: {matchLabels: {a: b}}", []),
    ],
)
def test_what_is_not_implemented_is_an_error(spec: str, expected: list[str]) -> None:
    loaded = destination_rule(spec)
    assert [problem.path for problem in loaded.problems if problem.code == "NotImplemented"] == expected
    assert len(loaded.resources) == (0 if expected else 1)


def test_a_full_destination_rule_has_no_problem() -> None:
    loaded = destination_rule("""
        host: reviews.prod.svc.cluster.local
        exportTo: ["*"]
        trafficPolicy:
          loadBalancer: {simple: LEAST_REQUEST}
          connectionPool:
            tcp:
              maxConnections: 100
              connectTimeout: 30ms
              tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}
              maxConnectionDuration: 1h
              idleTimeout: 0s
            http:
              http1MaxPendingRequests: 1
              http2MaxRequests: 1000
              maxRequestsPerConnection: 10
              maxRetries: 3
              idleTimeout: 5m
              h2UpgradePolicy: UPGRADE
              maxConcurrentStreams: 10
              http2KeepAlive: {interval: 1s, timeout: 1s}
          portLevelSettings:
          - port: {number: 80}
            loadBalancer: {simple: ROUND_ROBIN}
            tls: {mode: ISTIO_MUTUAL}
        subsets:
        - name: v1
          labels: {version: v1}
          trafficPolicy:
            loadBalancer: {simple: RANDOM}
        """)
    assert said(loaded) == []
    assert len(loaded.resources) == 1
