"""Istio's rules for Gateways."""

from __future__ import annotations

import pytest

from mizzen.resources.loading import load


def said(spec: str) -> list[str]:
    text = f"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: a}}\nspec: {spec}\n"
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in load(text, "f").problems]


def port(number: int = 80, protocol: str = "HTTP", name: str = "a") -> str:
    return f"port: {{number: {number}, protocol: {protocol}, name: {name}}}"


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("", ["error: spec.servers: gateway must have at least one server"]),
        (
            f"{{{port()}}}",
            ["error: spec.servers[0].hosts: server config must contain at least one host"],
        ),
        ("{hosts: ['*']}", ["error: spec.servers[0].port: port is required"]),
        (
            f"{{{port()}, hosts: ['*']}}, {{{port(81)}, hosts: ['*']}}",
            ["error: spec.servers[1].port.name: port names in servers must be unique: duplicate name a"],
        ),
        (
            f"{{{port()}, hosts: ['*'], name: x}}, {{{port(81, name='b')}, hosts: ['*'], name: x}}",
            ["error: spec.servers[1].name: server names must be unique: duplicate name x"],
        ),
        (
            "{port: {number: 70000, protocol: SMTP, targetPort: 1}, hosts: ['*']}",
            [
                "error: spec.servers[0].port.number: port number 70000 must be in the range 1..65535",
                "error: spec.servers[0].port.name: port name must be set",
                "error: spec.servers[0].port.protocol: invalid protocol 'SMTP'",
                "error: spec.servers[0].port.targetPort: targetPort has no impact on Gateways",
            ],
        ),
        (
            f"{{{port()}, hosts: [a/b/c, '*foo.com', foo*.com, '*/*.a.com', ./b.com, x/c.com, '*', /a]}}",
            [
                "error: spec.servers[0].hosts[0]: host must be of form namespace/dnsName: 'a/b/c'",
                "error: spec.servers[0].hosts[1]: partial wildcard '*foo.com' not allowed",
                "error: spec.servers[0].hosts[2]: domain name 'foo*.com' invalid (label 'foo*' invalid)",
                "error: spec.servers[0].hosts[7]: host must be of form namespace/dnsName: '/a'",
            ],
        ),
        (
            f"{{{port()}, hosts: ['*'], tls: {{httpsRedirect: true, mode: SIMPLE}}}}",
            ["error: spec.servers[0].tls.mode: server cannot have TLS settings for plain text HTTP ports"],
        ),
        (f"{{{port()}, hosts: ['*'], tls: {{httpsRedirect: true}}}}", []),
        (
            f"{{{port()}, hosts: ['*'], bind: here}}",
            ["error: spec.servers[0].bind: 'here' is not a valid IP address"],
        ),
        (
            f"{{{port()}, hosts: ['*'], bind: 'unix:///a'}}",
            [
                "error: spec.servers[0].port.number: port number must be 0 for unix domain socket",
                (
                    "error: spec.servers[0].bind: a gateway that listens on a Unix socket is not implemented yet in this "
                    "version of Mizzen"
                ),
            ],
        ),
    ],
)
def test_rules_of_a_gateway(servers: str, expected: list[str]) -> None:
    assert sorted(said(f"{{servers: [{servers}]}}")) == sorted(expected)


FILES = "serverCertificate: a, privateKey: b"


@pytest.mark.parametrize(
    ("protocol", "tls", "expected"),
    [
        ("HTTPS", "", ["error: : server must have TLS settings for HTTPS/TLS protocols"]),
        ("TCP", "{mode: SIMPLE}", ["error: : server cannot have TLS settings for TCP ports"]),
        (
            "HTTPS",
            f"{{mode: SIMPLE, {FILES}, httpsRedirect: true}}",
            ["warning: .httpsRedirect: tls.httpsRedirect should only be used with http servers"],
        ),
        (
            "HTTPS",
            "{mode: SIMPLE}",
            ["error: : SIMPLE TLS requires a private key", "error: : SIMPLE TLS requires a server certificate"],
        ),
        (
            "HTTPS",
            "{mode: SIMPLE, serverCertificate: c, privateKey: '-----BEGIN PRIVATE KEY----- MII'}",
            ["error: .privateKey: this is what is in a file, and the path of the file is meant"],
        ),
        (
            "HTTPS",
            f"{{mode: MUTUAL, {FILES}, caCertificates: '-----BEGIN CERTIFICATE----- MII'}}",
            ["error: .caCertificates: this is what is in a file, and the path of the file is meant"],
        ),
        ("HTTPS", f"{{mode: MUTUAL, {FILES}}}", ["error: : MUTUAL TLS requires a client CA bundle"]),
        ("TLS", f"{{mode: OPTIONAL_MUTUAL, {FILES}, caCertificates: c}}", []),
        (
            "HTTPS",
            f"{{mode: ISTIO_MUTUAL, {FILES}}}",
            [
                "error: .privateKey: ISTIO_MUTUAL TLS cannot have associated privateKey",
                "error: .serverCertificate: ISTIO_MUTUAL TLS cannot have associated serverCertificate",
            ],
        ),
        ("HTTPS", "{mode: ISTIO_MUTUAL}", []),
        ("TLS", "{}", []),
        (
            "TLS",
            "{mode: PASSTHROUGH, privateKey: b}",
            ["warning: .privateKey: PASSTHROUGH mode does not use privateKey, it will be ignored"],
        ),
        (
            "TLS",
            "{mode: AUTO_PASSTHROUGH}",
            [
                "error: .mode: AUTO_PASSTHROUGH joins the networks of one mesh, and a mesh of Mizzen has one network",
            ],
        ),
        (
            "HTTPS",
            f"{{mode: SIMPLE, {FILES}, credentialName: x}}",
            ["error: : only one of credentialName, serverCertificate can be set"],
        ),
        ("HTTPS", "{mode: SIMPLE, credentialName: x}", []),
        ("HTTPS", "{mode: MUTUAL, credentialName: 'kubernetes://x'}", []),
        ("HTTPS", "{mode: SIMPLE, credentialName: a/x}", ["error: .credentialName: 'a/x' is no name of a Secret"]),
        ("HTTPS", "{mode: SIMPLE, credentialNames: [a, b]}", []),
        (
            "HTTPS",
            "{mode: SIMPLE, credentialNames: [a, '', c]}",
            [
                "error: .credentialNames[1]: '' is no name of a Secret",
                "error: .credentialNames: credentialNames can have no more than 2 elements",
            ],
        ),
        ("HTTPS", f"{{mode: SIMPLE, tlsCertificates: [{{{FILES}}}, {{{FILES}}}]}}", []),
        (
            "HTTPS",
            "{mode: SIMPLE, tlsCertificates: [{serverCertificate: a}]}",
            ["error: .tlsCertificates[0]: SIMPLE TLS requires a private key"],
        ),
        (
            "HTTPS",
            f"{{mode: SIMPLE, tlsCertificates: [{{{FILES}}}], credentialNames: [a]}}",
            ["error: : only one of credentialNames, tlsCertificates can be set"],
        ),
        ("HTTPS", f"{{mode: MUTUAL, {FILES}, caCertCredentialName: x}}", []),
        (
            "HTTPS",
            "{mode: SIMPLE, credentialName: x, caCertCredentialName: z}",
            [
                "warning: .caCertCredentialName: caCertCredentialName is about clients' certificates, and SIMPLE asks for none",
            ],
        ),
        (
            "HTTPS",
            "{mode: MUTUAL, credentialName: x, caCertificates: c, caCrl: d}",
            [
                "error: .caCertificates: the Secret says who certifies clients, and caCertificates would be ignored",
            ],
        ),
        ("HTTPS", f"{{mode: MUTUAL, {FILES}, caCertificates: c, caCrl: d}}", []),
        (
            "HTTPS",
            "{mode: MUTUAL, credentialName: x, caCrl: d}",
            ["error: .caCrl: caCrl goes with caCertificates: a Secret has its own list, in `ca.crl`"],
        ),
        (
            "HTTPS",
            f"{{mode: MUTUAL, {FILES}, caCertificates: c, insecureSkipVerify: true}}",
            [
                "warning: .insecureSkipVerify: nobody checks who certified a client: whoever has made a certificate gets in",
            ],
        ),
        (
            "HTTPS",
            f"{{mode: SIMPLE, {FILES}, subjectAltNames: [a]}}",
            ["warning: .subjectAltNames: subjectAltNames is about clients' certificates, and SIMPLE asks for none"],
        ),
        (
            "HTTPS",
            f"{{mode: SIMPLE, {FILES}, minProtocolVersion: TLSV1_1, cipherSuites: [AES128-SHA, AES128-SHA, X]}}",
            [
                "warning: .minProtocolVersion: TLSV1_1 is not secure, and what Envoy knows of it may go",
                "warning: .cipherSuites[1]: ignoring duplicate cipher suite AES128-SHA",
                "warning: .cipherSuites[2]: ignoring invalid cipher suite X",
            ],
        ),
        (
            "HTTPS",
            f"{{mode: SIMPLE, {FILES}, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}}",
            ["error: .maxProtocolVersion: TLS max protocol version is lower than the min one"],
        ),
    ],
)
def test_rules_of_tls(protocol: str, tls: str, expected: list[str]) -> None:
    server = f"{port(443, protocol)}, hosts: ['*']" + (f", tls: {tls}" if tls else "")
    shown = [line.replace("spec.servers[0].tls", "", 1) for line in said(f"{{servers: [{{{server}}}]}}")]
    assert sorted(shown) == sorted(expected)
