from __future__ import annotations

import textwrap

import pytest

from mizzen.resources.loading import Loaded, load


def virtual_service(spec: str) -> Loaded:
    """Loads a VirtualService with the given fields of its spec."""
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n"
    return load(head + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n", "f")


def http(route: str) -> Loaded:
    """Loads a VirtualService for the host ``a`` with one HTTP route."""
    return virtual_service("hosts: [a]\nhttp:\n- " + textwrap.indent(textwrap.dedent(route).strip("\n"), "  ")[2:])


def said(loaded: Loaded) -> list[str]:
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in loaded.problems]


ROUTE = "route: [{destination: {host: a}}]\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("hosts: [a]", ["error: spec: http, tcp or tls must be provided in virtual service"]),
        (
            "gateways: [mesh]\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.gateways: delegate virtual service must have no gateways specified",
            ],
        ),
        ("http: [{route: [{destination: {host: a}}]}]", []),
        (
            "http: [{delegate: {name: a}}]\ntcp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.http[0].delegate: delegate virtual service cannot contain delegate",
                "error: spec.tcp: delegate virtual service must have no tcp route specified",
            ],
        ),
        ("hosts: [a]\nhttp: [{delegate: {name: b}}, {route: [{destination: {host: a}}]}]", []),
        (
            "hosts: [a]\nhttp: [{delegate: {namespace: A_B}, route: [{destination: {host: a}}]}]",
            [
                "error: spec.http[0].delegate.name: delegate name '' is invalid",
                "error: spec.http[0].delegate.namespace: delegate namespace 'A_B' is invalid",
                "error: spec.http[0].route: root HTTP route with a delegate must not specify route",
            ],
        ),
        (
            "hosts: ['*']\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.hosts[0]: wildcard host * is not allowed for virtual services bound to the mesh gateway",
            ],
        ),
        (
            "hosts: [a_b, a.*.b, '', a.123, '*x.com']\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.hosts[0]: domain name 'a_b' invalid (label 'a_b' invalid)",
                "error: spec.hosts[1]: domain name 'a.*.b' invalid (label '*' invalid)",
                "error: spec.hosts[2]: empty domain name not allowed",
                "error: spec.hosts[3]: domain name 'a.123' invalid (top level domain '123' cannot be all-numeric)",
            ],
        ),
        (
            "hosts: [a.com, '*.com', a.com]\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.hosts[1]: duplicate hosts in virtual service: a.com & *.com",
                "error: spec.hosts[2]: duplicate hosts in virtual service: a.com & a.com",
            ],
        ),
        (
            "hosts: [a]\nexportTo: ['*', '.', default]\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.exportTo: duplicate entries in exportTo: default",
                "error: spec.exportTo: cannot have both public (*) and non-public exportTo values for a resource",
            ],
        ),
        (
            "hosts: [a]\ngateways: ['/x', my-gateway, 'a/']\nhttp: [{route: [{destination: {host: a}}]}]",
            [
                "error: spec.gateways[0]: config namespace and gateway name cannot be empty",
                "error: spec.gateways[2]: config namespace and gateway name cannot be empty",
            ],
        ),
        (
            """
            hosts: [a]
            http:
            - match: [{uri: {prefix: /v1}}]
              route: [{destination: {host: a}}]
            - match: [{uri: {prefix: /v1}}]
              route: [{destination: {host: a}}]
            - match: [{uri: {prefix: /v1}}, {uri: {exact: /v1/x}, method: {exact: GET}}, {uri: {prefix: /v2}}]
              route: [{destination: {host: a}}]
            - route: [{destination: {host: a}}]
            - match: [{uri: {exact: /z}}]
              route: [{destination: {host: a}}]
            """,
            [
                "warning: spec.http[1]: VirtualService rule is never used: http[0] before it has the same match; see f:7:5",
                "warning: spec.http[2].match[0]: this match is never used: http[0] before it has the same one",
                (
                    "warning: spec.http[2].match[1]: this match is never used: the uri prefix of http[0] before it takes "
                    "these requests"
                ),
                (
                    "warning: spec.http[4]: VirtualService rule is never used: http[3] before it has no match and takes "
                    "all requests; see f:13:5"
                ),
            ],
        ),
        (
            """
            hosts: [a]
            tls:
            - route: [{destination: {host: a}}]
            - match: [{sniHosts: []}, {sniHosts: [b], destinationSubnets: [10.0.0.0/33]}]
            """,
            [
                "error: spec.tls[0]: TLS route must have at least one match condition",
                "error: spec.tls[1]: TLS route is required",
                "error: spec.tls[1].match[0]: TLS match must have at least one SNI host",
                (
                    "error: spec.tls[1].match[1].sniHosts[0]: SNI host 'b' is not a compatible subset of any of the "
                    "virtual service domains"
                ),
                "error: spec.tls[1].match[1].destinationSubnets[0]: '10.0.0.0/33' is not a valid CIDR block",
            ],
        ),
        (
            "hosts: [a]\ntcp: [{route: [{destination: {host: a}}]}, {route: [{destination: {host: b}}]}]",
            [
                "warning: spec.tcp[1]: VirtualService rule is never used: tcp[0] before it takes all connections; see f:6:9"
            ],
        ),
        (
            "hosts: [a]\ntcp: [{match: [{port: 70000}]}]",
            [
                "error: spec.tcp[0]: TCP route is required",
                "error: spec.tcp[0].match[0].port: port number 70000 must be in the range 1..65535",
            ],
        ),
    ],
)
def test_rules_of_a_virtual_service(spec: str, expected: list[str]) -> None:
    assert said(virtual_service(spec)) == expected


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("name: x", ["http[0]: HTTP route, redirect or direct_response is required"]),
        (ROUTE + "redirect: {uri: /x}", ["http[0]: HTTP route cannot contain both route and redirect"]),
        (
            "redirect: {uri: /x}\nrewrite: {uri: /y}\ndirectResponse: {status: 200}",
            [
                "http[0]: HTTP route cannot contain both rewrite and redirect",
                "http[0]: HTTP route cannot contain both redirect and direct_response",
                "http[0]: HTTP route cannot contain both rewrite and direct_response",
            ],
        ),
        (
            ROUTE + "directResponse: {status: 200}",
            ["http[0]: HTTP route cannot contain both route and direct_response"],
        ),
        ("route: [{weight: 1}]", ["http[0].route[0]: destination is required"]),
        (
            "route: [{destination: {}}]",
            ["http[0].route[0].destination.host: invalid destination host: `host` is empty"],
        ),
        ("route: [{destination: {host: '*'}}]", ["http[0].route[0].destination.host: invalid destination host: *"]),
        (
            "route: [{destination: {host: a_b, subset: V_1, port: {number: 0}}}]",
            [
                (
                    "http[0].route[0].destination.host: invalid destination host: domain name 'a_b' invalid "
                    "(label 'a_b' invalid)"
                ),
                "http[0].route[0].destination.subset: subset name is invalid: 'V_1' is no DNS-1123 label",
                "http[0].route[0].destination.port.number: port number 0 must be in the range 1..65535",
            ],
        ),
        (
            "route: [{destination: {host: a}}, {destination: {host: b}}]",
            ["http[0].route: total destination weight = 0"],
        ),
        ("route: [{destination: {host: a}, weight: -1}]", ["http[0].route[0].weight: weight -1 < 0"]),
        (
            ROUTE + "timeout: 0.1ms",
            ["http[0].timeout: duration must be greater than 1ms"],
        ),
        (ROUTE + "timeout: 1.0005s", ["http[0].timeout: only durations to ms precision are supported"]),
        (ROUTE + "timeout: 0s", ["http[0].timeout: duration must be greater than 1ms"]),
        (ROUTE + "retries: {attempts: -1}", ["http[0].retries.attempts: attempts cannot be negative"]),
        (
            ROUTE + "retries: {perTryTimeout: 2s}",
            ["http[0].retries: http retry policy configured when attempts are set to 0 (disabled)"],
        ),
        (
            ROUTE + "retries: {attempts: 3, retryOn: '5xx, reset,503,sometimes'}",
            [
                "http[0].retries.retryOn: ' reset' is not a valid retryOn policy",
                "http[0].retries.retryOn: 'sometimes' is not a valid retryOn policy",
                "http[0].retries.retryOn: `retryOn: 5xx,reset,503` can repeat a request that may have been acted on",
            ],
        ),
        (ROUTE + "retries: {attempts: 3, perTryTimeout: 2s, retryOn: 'connect-failure,refused-stream,404'}", []),
        (
            ROUTE + "retries: {attempts: 3, retryOn: 'connect-failure,503'}",
            ["http[0].retries.retryOn: `retryOn: 503` can repeat a request that may have been acted on"],
        ),
        (ROUTE + "match: [{method: {exact: GET}}]\nretries: {attempts: 3, retryOn: '5xx,reset'}", []),
        (
            ROUTE + "match: [{method: {exact: POST}}]\nretries: {attempts: 3, retryOn: 'reset'}",
            ["http[0].retries.retryOn: `retryOn: reset` can repeat a request that may have been acted on"],
        ),
        (ROUTE + "retries: {attempts: 0}", []),
        (
            "redirect: {uri: /a, prefixRewrite: /b}",
            [
                "http[0].redirect: redirect may only contain one of uri or prefixRewrite",
                "http[0].redirect.prefixRewrite: redirect.prefixRewrite requires a prefix match in all matches",
            ],
        ),
        ("redirect: {}", ["http[0].redirect: redirect must specify URI, authority, scheme, or port"]),
        (
            "redirect: {scheme: ftp, redirectCode: 304, port: 0}",
            [
                "http[0].redirect.scheme: invalid scheme 'ftp' for redirect: must be http or https",
                (
                    "http[0].redirect.redirectCode: 304 is not a valid redirect code, must be one of 301, 302, 303, 307, "
                    "308"
                ),
                "http[0].redirect.port: port number 0 must be in the range 1..65535",
            ],
        ),
        (
            "redirect: {port: 80, derivePort: FROM_REQUEST_PORT}",
            ["http[0].redirect: `port` and `derivePort` cannot be set together: keep one of them"],
        ),
        (ROUTE + "rewrite: {}", ["http[0].rewrite: rewrite must specify at least one of URI, authority, or URI regex"]),
        (
            ROUTE + "rewrite: {uri: /, uriRegexRewrite: {match: '(a', rewrite: b}}",
            [
                "http[0].rewrite: rewrite may only contain one of URI or URI regex",
                (
                    "http[0].rewrite.uriRegexRewrite.match: invalid regex: missing ): (a; Istio uses RE2 style "
                    "regex-based match (https://github.com/google/re2/wiki/Syntax)"
                ),
            ],
        ),
        (
            ROUTE + r"rewrite: {uriRegexRewrite: {match: '/(a)', rewrite: '/\2\q'}}",
            [
                r"http[0].rewrite.uriRegexRewrite.rewrite: \2 refers to a group that `match` does not have: it has 1",
                "http[0].rewrite.uriRegexRewrite.rewrite: a backslash must be followed by a digit or a backslash",
            ],
        ),
        (
            ROUTE + "rewrite: {uriRegexRewrite: {match: /a}}",
            ["http[0].rewrite.uriRegexRewrite: uriRegexRewrite requires both `match` and `rewrite`"],
        ),
        ("directResponse: {}", ["http[0].directResponse.status: HTTP status 0 is not in range 200-599"]),
        (
            f"directResponse: {{status: 503, body: {{string: '{'x' * (1 << 20 | 1)}'}}}}",
            ["http[0].directResponse.body: response body size must be less than 1MB"],
        ),
        (
            f"directResponse: {{status: 503, body: {{string: '{'x' * 110_000}'}}}}",
            ["http[0].directResponse.body: large direct_responses may impact control plane performance"],
        ),
        (
            "directResponse: {status: 200, body: {bytes: '***'}}",
            ["http[0].directResponse.body.bytes: bytes must be base64"],
        ),
        (
            ROUTE
            + """
headers:
  request:
    set: {":path": x, "a b": v, Host: z, ok: "50%"}
    add: {":authority": z, good: "%DOWNSTREAM_REMOTE_ADDRESS% 100%% %REQ(:path):10%"}
    remove: [host]
  response:
    set: {Host: x}
""",
            [
                "http[0].headers.request: authority header cannot be set multiple times",
                "http[0].headers.request.set[:path]: header cannot have \":\" prefix: ':path'",
                "http[0].headers.request.set[a b]: header name 'a b' is not a valid header name",
                "http[0].headers.request.set.ok: header value configuration '50%' is invalid",
                "http[0].headers.request.remove[0]: cannot set Host header",
                "http[0].headers.response.set.Host: cannot set Host header",
            ],
        ),
        (
            ROUTE + "rewrite: {authority: x}\nheaders: {request: {set: {host: v}}}",
            ["http[0].headers.request: authority header cannot be set multiple times"],
        ),
        (
            "route: [{destination: {host: a}, headers: {response: {remove: ['']}}}]",
            ["http[0].route[0].headers.response.remove[0]: header name cannot be empty"],
        ),
    ],
)
def test_rules_of_an_http_route(route: str, expected: list[str]) -> None:
    assert [line.split(": spec.", 1)[1] for line in said(http(route))] == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("uri: {prefix: ''}", ["error: uri.prefix: prefix string match should not be empty"]),
        ("method: {regex: ''}", ["error: method.regex: regex string match should not be empty"]),
        (f"uri: {{regex: '{'a' * 1025}'}}", ["error: uri.regex: regex is too large, max length allowed is 1024"]),
        (
            "uri: {regex: '(?=x)'}",
            [
                (
                    "error: uri.regex: invalid regex: invalid perl operator: (?=; Istio uses RE2 style regex-based match "
                    "(https://github.com/google/re2/wiki/Syntax)"
                )
            ],
        ),
        ("uri: {}", ["warning: uri: `uri` compares with nothing, so it matches everything"]),
        ("headers: {'': {exact: x}}", ["error: headers[]: header name cannot be empty"]),
        ("headers: {'a b': {exact: x}}", ["error: headers[a b]: header name 'a b' is not a valid header name"]),
        ("headers: {x: null}", ["error: headers.x: cannot be null: must be a mapping"]),
        ("headers: {x: {}, z: {regex: '*'}}", []),
        (
            "headers: {uri: {exact: /x}}",
            ["warning: headers.uri: header 'uri' is ignored in a match of headers"],
        ),
        (
            "withoutHeaders: {End-User: {exact: jason}}",
            [
                (
                    "warning: withoutHeaders.End-User: header names are compared in lower case; 'End-User' is taken as "
                    "'end-user'"
                )
            ],
        ),
        ("queryParams: {'': {exact: x}, z: {exact: ''}}", ["error: queryParams: query parameter name cannot be empty"]),
        ("sourceNamespace: A", ["error: sourceNamespace: sourceNamespace match 'A' is invalid"]),
        ("sourceLabels: {app: 'a b'}", ["error: sourceLabels.app: 'a b' is not a valid label value"]),
        ("port: 65536", ["error: port: port number 65536 must be in the range 1..65535"]),
        (
            "ignoreUriCase: true",
            ["warning: ignoreUriCase: ignoreUriCase applies only to an exact or prefix `uri`"],
        ),
        (
            "gateways: [mesh]\nsourceLabels: {app: a}",
            ["warning: sourceLabels: sourceLabels has no effect in a match that names gateways"],
        ),
        (
            "headers: {'@request.auth.claims.sub': {exact: x}}",
            [
                (
                    "error: headers[@request.auth.claims.sub]: `@request.auth.claims.sub` in `headers` is part of Istio's "
                    "API but not implemented yet in this version of Mizzen"
                ),
                (
                    "error: headers[@request.auth.claims.sub]: JWT claim based routing is only supported for gateway, not "
                    "for the mesh"
                ),
            ],
        ),
    ],
)
def test_rules_of_a_match(match: str, expected: list[str]) -> None:
    loaded = http(ROUTE + "match:\n- " + textwrap.indent(match, "  ")[2:])
    assert [line.replace("spec.http[0].match[0].", "") for line in said(loaded)] == expected


def test_claims_of_a_token_are_for_gateways() -> None:
    match = "match: [{headers: {'@request.auth.claims.sub': {exact: x}}}]"
    spec = f"hosts: [a]\nhttp: [{{{match}, route: [{{destination: {{host: a}}}}]}}]\n"
    for gateways, codes in {
        "": ["NotImplemented", "IST0106"],
        "gateways: [edge]": ["NotImplemented"],
        "gateways: [edge, mesh]": ["NotImplemented", "IST0106"],
    }.items():
        assert [one.code for one in virtual_service(spec + gateways).problems] == codes


NOT_YET = "is part of Istio's API but not implemented yet in this version of Mizzen"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("fault: {}\n", ["fault: HTTP fault injection must have an abort and/or a delay"]),
        (
            "fault: {delay: {fixedDelay: 1s, percent: 101, percentage: {value: 0.00001}}}\n",
            [
                "fault.delay.percent: percentage 101 is not in range 0..100",
                "fault.delay.percent: using deprecated setting percent",
                (
                    "fault.delay.percentage.value: percentage 1e-05 is neither 0.0, nor in range [0.0001, 100.0]; it must "
                    "have a max value of 100"
                ),
            ],
        ),
        (
            "fault: {abort: {percentage: {value: 100}}}\n",
            [
                "fault.abort: abort has no error type, so nothing is aborted",
            ],
        ),
        (
            "fault: {abort: {grpcStatus: 14, percentage: {value: 1}}}\n",
            ["fault.abort.grpcStatus: must be text, not the number 14"],
        ),
        (
            "fault: {abort: {grpcStatus: GONE, percentage: {value: 1}}}\n",
            ["fault.abort.grpcStatus: gRPC status 'GONE' is not supported"],
        ),
        ("mirror: {host: b}\n", []),
        (
            "mirror: {host: b}\nmirrors: [{}]\nmirrorPercent: 101\n",
            [
                "HTTP route cannot contain both mirror and mirrors",
                "mirrorPercent: mirror_percent must have a max value of 100 (it has range 0 to 100)",
                "mirrorPercent: using deprecated setting mirrorPercent",
                "mirrors[0]: destination is required for mirrors",
            ],
        ),
        (
            "corsPolicy: {allowOrigins: [{}, {regex: '('}], allowMethods: [GIVE], maxAge: 1.5s, allowHeaders: ['a b']}\n",
            [
                "corsPolicy.allowHeaders[0]: header name 'a b' is not a valid header name",
                "corsPolicy.allowMethods[0]: 'GIVE' is not a supported HTTP method",
                "corsPolicy.allowOrigins[0]: origin needs one of exact, prefix, regex",
                (
                    "corsPolicy.allowOrigins[1].regex: invalid regex: missing ): (; Istio uses RE2 style regex-based match "
                    "(https://github.com/google/re2/wiki/Syntax)"
                ),
                "corsPolicy.maxAge: max_age duration is accurate only to seconds precision",
            ],
        ),
        ("fault: {delay: {fixedDelay: 1s}}\n", ["fault.delay: delay has no percentage, so nothing is delayed"]),
        (
            "fault: {delay: {percentage: {value: 100}}}\n",
            ["fault.delay: delay has no duration, so nothing is delayed"],
        ),
        (
            "corsPolicy: {allowOrigin: ['https://a'], allowOrigins: [{exact: 'https://b'}]}\n",
            ["corsPolicy.allowOrigin: using deprecated setting allowOrigin"],
        ),
        ("fault: {abort: {httpStatus: 500}}\n", ["fault.abort: abort has no percentage, so nothing is aborted"]),
        ("fault: {abort: {httpStatus: 500, percentage: {value: 0}}}\n", []),
        ("mirrorPercentage: {value: 5}\n", ["mirrorPercentage: mirrorPercentage has no effect without mirror"]),
        (
            "mirrorPercent: 5\n",
            [
                "mirrorPercent: mirrorPercent has no effect without mirror",
                "mirrorPercent: using deprecated setting mirrorPercent",
            ],
        ),
    ],
)
def test_rules_of_faults_mirrors_and_cors(fields: str, expected: list[str]) -> None:
    loaded = http(ROUTE + fields)
    lines = [line.split(": ", 1)[1].removeprefix("spec.http[0]").lstrip(".: ") for line in said(loaded)]
    assert sorted(lines) == sorted(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            "fault: {delay: {exponentialDelay: 1s, percentage: {value: 1}}}\n",
            [f"fault.delay.exponentialDelay: `exponentialDelay` {NOT_YET}"],
        ),
        (
            "fault: {abort: {http2Error: X, percentage: {value: 1}}}\n",
            [f"fault.abort.http2Error: `http2Error` {NOT_YET}"],
        ),
    ],
)
def test_fields_that_are_not_implemented_are_errors_and_their_rules_still_hold(
    fields: str, expected: list[str]
) -> None:
    loaded = http(ROUTE + fields)
    assert loaded.resources == ()
    lines = [line.split(": ", 1)[1].removeprefix("spec.http[0]").lstrip(".: ") for line in said(loaded)]
    assert sorted(lines) == sorted(expected)


def test_a_full_virtual_service_has_no_problem() -> None:
    loaded = virtual_service("""
        hosts: [reviews, reviews.example.com, 10.1.2.3]
        gateways: [mesh]
        exportTo: [".", other]
        http:
        - name: canary
          match:
          - name: jason
            uri: {prefix: /reviews}
            ignoreUriCase: true
            scheme: {exact: http}
            method: {regex: "GET|HEAD"}
            authority: {prefix: reviews}
            headers: {end-user: {exact: jason}, cookie: {regex: "^(.*?;)?(user=jason)(;.*)?$"}}
            withoutHeaders: {x-debug: {}}
            queryParams: {v: {exact: "2"}}
            port: 9080
            sourceLabels: {app: productpage}
            sourceNamespace: default
          rewrite: {uri: /v2, authority: reviews-v2}
          timeout: 1.5s
          retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "gateway-error,503", retryIgnorePreviousHosts: false,
                    backoff: 30ms}
          headers:
            request: {set: {x-a: "%REQ(x-b)%"}, add: {x-c: d}, remove: [x-e]}
          route:
          - destination: {host: reviews, subset: v2, port: {number: 9080}}
            weight: 90
          - destination: {host: reviews, subset: v3}
            weight: 10
            headers: {response: {add: {x-canary: "true"}}}
        - match: [{uri: {prefix: /old}}]
          redirect: {prefixRewrite: /new, authority: a.com, scheme: https, derivePort: FROM_PROTOCOL_DEFAULT,
                     redirectCode: 302}
        - match: [{uri: {exact: /teapot}}]
          directResponse: {status: 418, body: {string: "short and stout"}}
        - route:
          - destination: {host: reviews, subset: v1}
        """)
    assert said(loaded) == []
    assert len(loaded.resources) == 1


@pytest.mark.trap(14)
@pytest.mark.parametrize(
    ("retries", "valid"), [("perTryTimeout: 2s", False), ("attempts: 0", True), ("attempts: 2", True)]
)
def test_retries_need_attempts_and_none_switch_them_off(retries: str, valid: bool) -> None:
    found = said(http(ROUTE + f"retries: {{{retries}}}"))
    assert (not any("attempts are set to 0" in one for one in found)) == valid
