from __future__ import annotations

import pytest
from tests.unit.analysis.marked import check

from mizzen.resources.kinds import KINDS

GROUPS = {kind.kind: kind.api_versions[0] for kind in reversed(KINDS) if kind.api == "Istio"}
WRONG, ODD = "IST0106", "IST0133"
CODES = {"!": WRONG, "?": ODD, "~": "IST0118"}


def case(kind: str, spec: str, whole: str = "") -> None:
    """Checks a specification in which signs mark lines with what is said of them; ``whole`` are those for all of it."""
    mark = f"  #! {ODD} EnvoyFilter default/case" if kind == "EnvoyFilter" else ""
    head = f"apiVersion: {GROUPS[kind]}\nkind: {kind}{mark}\nmetadata: {{name: case}}\n"
    lines = [f"spec:  {whole}", *(f"  {line}" for line in spec.strip("\n").splitlines())]
    _check(kind, head + "\n".join(_marked(kind, line) for line in lines) + "\n")


def _marked(kind: str, line: str) -> str:
    text, gap, signs = line.rpartition("  ")
    if not signs or not gap or not set(signs) <= CODES.keys():
        return line
    return f"{text}  #! {'; '.join(f'{CODES[sign]} {kind} default/case' for sign in signs)}"


def _check(kind: str, text: str) -> None:
    check(f"schema.ValidationAnalyzer.{kind}", text)


GATEWAY = """
selector: {app: front}
servers:
- port: {number: 80, name: http, protocol: HTTP}
  hosts: ["*", "*.example", shop/www.example, ./api.example, "*/*"]
  tls: {httpsRedirect: true}
- port: {number: 443, name: https, protocol: HTTPS}
  hosts: [a.example]
  tls: {mode: SIMPLE, credentialName: www, minProtocolVersion: TLSV1_2}
- port: {number: 444, name: tls, protocol: TLS}
  hosts: [a.example]
  tls: {mode: PASSTHROUGH}
- port: {number: 445, name: old, protocol: HTTPS}
  hosts: [a.example]
  tls: {mode: MUTUAL, serverCertificate: a, privateKey: b, ca_certificates: c, caCertificates: c}  !
"""


@pytest.mark.parametrize(
    "spec",
    [
        GATEWAY,
        "selector: {}\nservers: []  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTP}\n  hosts: []  !",
        "servers:\n- hosts: [a]  !",
        "servers:\n- port: {number: 0, name: a, protocol: HTTP}  !\n  hosts: [a]",
        "servers:\n- port: {number: 80, name: a, protocol: HTP}  !\n  hosts: [a]",
        "servers:\n- port: {number: 80, protocol: HTTP}  !\n  hosts: [a]",
        "servers:\n- port: {number: 80, name: a, protocol: HTTP}\n  hosts: [a/b/c]  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTP}\n  hosts: [a*.example]  !",
        "servers:\n- hosts: [a]  !\n  port: {number: 443, name: a, protocol: HTTPS}",
        "servers:\n- port: {number: 80, name: a, protocol: HTTP}\n  hosts: [a]\n  tls:\n    mode: SIMPLE  !\n    credentialName: a  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTPS}\n  hosts: [a]\n  tls: {mode: ISTIO_MUTUAL, credentialName: a}  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTPS}\n  hosts: [a]\n  tls: {mode: SIMPLE, privateKey: a}  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTPS}\n  hosts: [a]\n  tls: {mode: SIMPEL}  !",
        "servers:\n- port: {number: 80, name: a, protocol: HTTP}\n  hosts: [a]\n  host: [a]  !",
        "selector: front  !\nservers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a]}]",
        "servers:\n- port: {number: 443, name: a, protocol: HTTPS}\n  hosts: [a]\n  tls: {mode: PASSTHROUGH, httpsRedirect: true}  ?",
    ],
)
def test_gateways(spec: str) -> None:
    case("Gateway", spec)


@pytest.mark.parametrize(
    "spec",
    [
        "hosts: [api.example]\nports: [{number: 443, name: tls, protocol: TLS}]\nresolution: DNS",
        "hosts: ['*.example']\nports: [{number: '443', name: tls, protocol: TLS}]  !\naddresses: [10.0.0.0/8]",
        "hosts: ['*']  !",
        "hosts: [a.example]\nports:\n- {number: 1, name: a}  ~\n- {number: 1, name: b}  !~",
        "hosts: [a.example]\nports:\n- {number: 1, name: a}  ~\n- {number: 2, name: a}  !~",
        "hosts: [a.example]\nresolution: STATIC\nendpoints:\n- {address: b.example}  !",
        "hosts: [a.example]\nendpoints: [{address: 1.1.1.1}]  !",
        "hosts: ['*.example']  !\nresolution: DNS",
        "hosts: [a.example]\nresolution: DNS\naddresses: [10.0.0.0/8]  !",
        "hosts: [a.example]\nresolution: DNS_ROUND_ROBIN\nendpoints: [{address: a}, {address: b}]  !",
        "hosts: [a.example]\nlocation: OUTSIDE  !",
    ],
)
def test_service_entries(spec: str) -> None:
    case("ServiceEntry", spec)


@pytest.mark.parametrize(
    "spec",
    [
        "hosts: []",
        "hosts: [a.example]\nresolution: STATIC\nworkloadSelector: {labels: {a: b}}\nendpoints: [{address: 1.1.1.1}]",
    ],
)
def test_service_entries_as_a_whole(spec: str) -> None:
    case("ServiceEntry", spec, "!")


@pytest.mark.parametrize(
    "spec",
    [
        "egress: [{hosts: ['./*', 'istio-system/*', '~/*']}]",
        "outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
        "egress:\n- hosts: []  !",
        "egress:\n- hosts: [cart]  !",
        "egress:\n- hosts: ['*/*']  !\n- {port: {number: 80, protocol: HTTP, name: a}, hosts: ['*/*']}",
        "ingress:\n- port: {number: 80}  !",
        "ingress:\n- port: {number: 0, protocol: HTTP}  !",
        "ingress:\n- port: {number: 80, protocol: HTPP}  !",
        "ingress:\n- defaultEndpoint: 127.0.0.1:80  !",
        "ingress: [{port: {number: 80, protocol: HTTP}, tls: {mode: MUTUAL, serverCertificate: a, caCertificates: c}}]",
        "ingress:\n- port: {number: '80', protocol: HTTP}  !",
        "ingress:\n- port: {number: 80, protocol: HTTP}\n  tls: {mode: SIMPEL}  !",
    ],
)
def test_sidecars(spec: str) -> None:
    case("Sidecar", spec)


@pytest.mark.parametrize(
    "spec",
    [
        "configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {name: a}}}]",
        "configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]",
        "configPatches:\n- patch: {operation: REMOVE}  !",
        "configPatches:\n- applyTo: CLUSTER  !",
        "configPatches:\n- applyTo: CLUSTER\n  patch: {operation: MERGE}  !",
    ],
)
def test_envoy_filters(spec: str) -> None:
    case("EnvoyFilter", spec)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("PeerAuthentication", "mtls: {mode: STRICT}"),
        ("PeerAuthentication", "selector: {matchLabels: {app: a}}\nportLevelMtls: {8080: {mode: DISABLE}}"),
        ("PeerAuthentication", "mtls: {mode: strict}  !"),
        ("PeerAuthentication", "portLevelMtls: {8080: {mode: DISABLE}}  !"),
        ("PeerAuthentication", "selector: {matchLabels: {app: a}}\nportLevelMtls: {http: {mode: DISABLE}}  !"),
        ("RequestAuthentication", "jwtRules: [{issuer: a, jwksUri: 'https://a.example/keys'}]"),
        ("RequestAuthentication", "jwtRules:\n- audiences: [a]  !"),
        ("RequestAuthentication", "jwtRules:\n- issuer: a\n  jwksUri: a.example/keys  !"),
        ("RequestAuthentication", "jwtRules:\n- issuer: a\n  fromHeaders: [{prefix: x}]  !"),
        ("AuthorizationPolicy", "rules: [{}]"),
        ("AuthorizationPolicy", "action: DENY\nrules: [{to: [{operation: {ports: ['80'], methods: [GET]}}]}]"),
        ("AuthorizationPolicy", "rules: [{when: [{key: 'request.headers[x-team]', values: [ops]}]}]"),
        ("AuthorizationPolicy", "rules: [{when: [{key: 'request.auth.claims[a][b]', notValues: [ops]}]}]"),
        ("AuthorizationPolicy", "action: DENY  !"),
        ("AuthorizationPolicy", "action: CUSTOM  !\nrules: [{}]"),
        ("AuthorizationPolicy", "provider: {name: a}  !\nrules: [{}]"),
        ("AuthorizationPolicy", "rules:\n- from: []  !"),
        ("AuthorizationPolicy", "rules:\n- from:\n  - source: {}  !"),
        ("AuthorizationPolicy", "rules:\n- from:\n  - source: {ipBlocks: [10.0.0.0/99]}  !"),
        ("AuthorizationPolicy", "rules:\n- from:\n  - source: {serviceAccounts: [a], namespaces: [b]}  !"),
        ("AuthorizationPolicy", "rules:\n- to:\n  - operation: {ports: [http]}  !"),
        ("AuthorizationPolicy", "rules:\n- to:\n  - operation: {paths: ['']}  !"),
        ("AuthorizationPolicy", "rules:\n- to:\n  - operation: {path: [/]}  !"),
        ("AuthorizationPolicy", "rules:\n- when:\n  - {key: request.header, values: [a]}  !"),
        ("AuthorizationPolicy", "rules:\n- when:\n  - {key: source.user, values: [a]}  !"),
        ("AuthorizationPolicy", "rules:\n- when:\n  - key: source.ip  !"),
        ("AuthorizationPolicy", "selector: {matchLabels: {app: a}}  !\ntargetRefs: [{kind: Gateway, name: a}]"),
        ("AuthorizationPolicy", "selector: {matchLabels: {app: 'a*'}}  !"),
        ("Telemetry", "tracing: [{randomSamplingPercentage: 5.5}]"),
        ("Telemetry", "tracing:\n- randomSamplingPercentage: 101  !"),
        ("Telemetry", "tracing:  ?\n- randomSamplingPercentage: 1\n- randomSamplingPercentage: 2"),
        ("Telemetry", "accessLogging:\n- disabled: 'yes'  !"),
        ("WorkloadEntry", "address: 10.0.0.1\nports: {http: 80}"),
        ("WorkloadEntry", "adress: 10.0.0.1  !"),
        ("WorkloadGroup", "template: {ports: {http: '80'}, serviceAccount: a}"),
        ("WorkloadGroup", "template: [a]  !"),
    ],
)
def test_policies_and_workloads(kind: str, spec: str) -> None:
    case(kind, spec)


def test_a_policy_may_say_nothing() -> None:
    for kind in ("AuthorizationPolicy", "PeerAuthentication", "Telemetry"):
        head = f"apiVersion: {GROUPS[kind]}\nkind: {kind}\nmetadata: {{name: case}}\n"
        _check(kind, head)
