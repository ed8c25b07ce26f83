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
