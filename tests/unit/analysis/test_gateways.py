from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.analysis.marked import check

PORTS = "gateway.IngressGatewayPortAnalyzer"
SECRETS = "gateway.SecretAnalyzer"
FRONT = """\
apiVersion: v1
kind: Pod
metadata: {name: front-1, namespace: edge, labels: {app: front, tier: outer}}
spec: {containers: [{name: proxy, ports: [{name: web, containerPort: 8080}]}]}
---
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: front, namespace: edge}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: web}, {name: tls, port: 443}]}
---
"""


def gateway(name: str, selector: str, servers: str, namespace: str = "edge") -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {selector}
  servers:
{servers}
---
"""


def test_ports_are_those_of_the_service() -> None:
    servers = """\
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ["*"]
  - port: {number: 443, name: tls, protocol: TLS}
    hosts: ["*"]
  - port: {number: 80, name: other, protocol: HTTP}  #! IST0162 Gateway edge/front
    hosts: ["*"]"""
    check(PORTS, FRONT + SERVICE + gateway("front", "{app: front}", servers))


def test_a_gateway_of_mizzen_needs_no_service() -> None:
    own = """\
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: front, namespace: edge, labels: {app: front}}
spec: {gateway: {}}
---
"""
    servers = """\
  - port: {number: 80, name: other, protocol: HTTP}
    hosts: ["*"]"""
    check(PORTS, own + SERVICE + gateway("front", "{app: front}", servers))


@pytest.mark.parametrize(
    "selector",
    ["{app: front, tier: outer}", "{istio: ingressgateway}", "{app: frnt}  #! IST0101 Gateway edge/front"],
)
def test_a_selector_picks_pods_or_the_gateway_that_comes_with_istio(selector: str) -> None:
    check(PORTS, FRONT + gateway("front", selector, "  - {}"))


def test_without_workloads_selectors_are_not_judged() -> None:
    check(PORTS, gateway("front", "{app: frnt}", "  - {}"))
    check(PORTS, gateway("front", "{istio: ingressgateway}  #! IST0101 Gateway edge/front", "  - {}"), running=True)


def server(number: int, hosts: str, mark: str = "") -> str:
    return f"  - port: {{number: {number}}}\n    hosts: {hosts}{mark}"


def test_two_gateways_want_the_same_requests() -> None:
    a, b, c = ("  #! IST0145 Gateway edge/a", "  #! IST0145 Gateway edge/b", "  #! IST0145 Gateway edge/c")
    check(
        "gateway.ConflictingGatewayAnalyzer",
        gateway("a", "{app: front}", server(80, '["*.example"]', a))
        + gateway("b", "{app: front}", server(80, "[shop/www.example]", b))
        + gateway("c", "{app: front, tier: outer}", server(80, "[www.example]", c))
        + gateway("other-port", "{app: front}", server(81, '["*"]'))
        + gateway("other-pods", "{app: back}", server(80, '["*"]'))
        + gateway("other-host", "{app: front}", server(80, "[www.test]"))
        + gateway("other-namespace", "{app: front}", server(80, "[ops/api.test]"))
        + gateway("one-more", "{app: front}", server(80, "[shop/api.test]")),
    )


def test_one_certificate_serves_in_one_gateway() -> None:
    def tls(certificate: str) -> str:
        return f"  - {{port: {{number: 443}}, hosts: [x], tls: {{{certificate}}}}}"

    first = gateway("a  #! IST0138 Gateway edge/a\n  ", "{app: front}", tls("credentialName: one"))
    text = (
        first.replace(
            "{name: a  #! IST0138 Gateway edge/a\n  , ", "\n  name: a  #! IST0138 Gateway edge/a\n  "
        ).replace("namespace: edge}", "namespace: edge")
        + gateway("b", "{app: front, tier: outer}", tls("credentialName: one"))
        + gateway("c", "{app: other}", tls("credentialName: one"))
        + gateway("d", "{app: front}", tls("credentialName: two"))
    )
    check("gateway.CertificateAnalyzer", text)


def certificate(until: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def secret(data: str) -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: www, namespace: edge}}\ndata: {data}\n---\n"


@pytest.mark.parametrize(
    ("name", "data", "mark"),
    [
        ("www", f"{{tls.crt: {certificate(datetime(2027, 1, 1, tzinfo=UTC))}, tls.key: a2V5}}", ""),
        ("www", f"{{cert: {certificate(datetime(2027, 1, 1, tzinfo=UTC))}, key: a2V5}}", ""),
        (
            "kubernetes://www",
            f"{{cert: {certificate(datetime(2027, 1, 1, tzinfo=UTC))}, key: a2V5}}",
            "",
        ),
        ("ww", "{cert: x, key: y}", "IST0101"),
        ("kubernetes://ww", "{cert: x, key: y}", "IST0101"),
        ("www", f"{{tls.crt: {certificate(datetime(2026, 2, 1, tzinfo=UTC))}, tls.key: a2V5}}", "IST0161"),
        ("www", "{tls.crt: bm90aGluZw==, tls.key: a2V5}", "IST0161"),
        ("www", "{tls.crt: '!', tls.key: a2V5}", "IST0161"),
        ("www", "{tls.crt: bm90aGluZw==}", "IST0161"),
    ],
)
def test_a_secret_is_there_and_holds_a_valid_certificate(name: str, data: str, mark: str) -> None:
    mark = f"  #! {mark} Gateway edge/front" if mark else ""
    servers = f"  - tls:\n      credentialName: {name}{mark}"
    check(SECRETS, FRONT + secret(data) + gateway("front", "{app: front}", servers))


def test_without_any_secret_they_come_from_elsewhere() -> None:
    check(SECRETS, FRONT + gateway("front", "{app: front}", "  - {tls: {credentialName: www}}"))


def test_secrets_of_the_gateway_that_comes_with_istio_are_in_its_namespace() -> None:
    text = gateway("front", "{istio: ingressgateway}", "  - tls:\n      credentialName: ww%s")
    check(SECRETS, secret("{}") + text % "")
    inside = secret("{}").replace("namespace: edge", "namespace: istio-system")
    check(SECRETS, inside + text % "  #! IST0101 Gateway edge/front")


def test_a_selector_that_picks_nothing_has_no_secrets() -> None:
    text = gateway("front", "{app: frnt}  #! IST0101 Gateway edge/front", "  - {tls: {credentialName: www}}")
    check(SECRETS, FRONT + secret("{}") + text)
