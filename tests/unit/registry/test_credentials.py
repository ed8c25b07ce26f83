"""Which Secrets a gateway may have, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Authority, secret
from tests.support.worlds import read
from tests.support.written import destination_rule, gateway, gateway_workload, server

from mizzen.registry.credentials import Credentials
from mizzen.registry.gateways import wanted_secrets
from mizzen.registry.reports import FileSecret

WITHOUT = "there is no Secret shop in namespace default"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def wanted(*texts: str) -> dict[str, FileSecret]:
    resources = read(gateway_workload(), *texts)
    kinds = {kind: [one for one in resources if one.key.kind == kind] for kind in ("Gateway", "DestinationRule")}
    (workload,) = (one for one in resources if one.key.kind == "Workload")
    found = wanted_secrets(
        kinds["Gateway"], kinds["DestinationRule"], workload, Credentials.of(resources, "/state/secrets")
    )
    return {one.name: one for one in found}


def secure(**tls: Any) -> str:
    settings = {"mode": "SIMPLE", "credentialName": "shop", **tls}
    return gateway("edge", server(443, protocol="HTTPS", tls={k: v for k, v in settings.items() if v}))


def test_a_certificate_is_where_its_content_is(authority: Authority) -> None:
    (found,) = wanted(secure(), text := secret(authority)).values()
    (resource,) = (one for one in read(text))
    folder = f"/state/secrets/{resource.spec.content_digest}"
    assert found == FileSecret(
        name="kubernetes://shop", certificate=f"{folder}/tls.crt", key=f"{folder}/tls.key", watched=False
    )


def test_a_secret_of_another_namespace_is_nobodys(authority: Authority) -> None:
    """Trap 36: a Gateway's selector crosses namespaces, its secrets do not."""
    (found,) = wanted(secure(), secret(authority, namespace="elsewhere")).values()
    assert (found.key, found.problem) == ("", WITHOUT)


def test_a_secret_that_nobody_names_is_not_given(authority: Authority) -> None:
    assert wanted(gateway("edge", server()), secret(authority)) == {}
    other = gateway(
        "edge", server(443, protocol="HTTPS", tls={"mode": "SIMPLE", "credentialName": "shop"}), selector={"a": "b"}
    )
    assert wanted(other, secret(authority)) == {}


@pytest.mark.parametrize(
    ("secrets", "names", "there"),
    [
        ([("shop", "tls.crt tls.key ca.crt")], {"mode": "MUTUAL"}, True),
        ([("shop", "tls.crt tls.key"), ("shop-cacert", "ca.crt")], {"mode": "OPTIONAL_MUTUAL"}, True),
        ([("shop", "tls.crt tls.key")], {"mode": "MUTUAL"}, False),
        ([("shop", "tls.crt tls.key ca.crt"), ("shop-cacert", "tls.crt tls.key")], {"mode": "MUTUAL"}, False),
        ([("shop", "tls.crt tls.key"), ("ca", "ca.crt")], {"mode": "MUTUAL", "caCertCredentialName": "ca"}, True),
    ],
)
def test_where_authorities_are(
    authority: Authority, secrets: list[tuple[str, str]], names: dict[str, str], there: bool
) -> None:
    found = wanted(secure(**names), *(secret(authority, name, holds=holds) for name, holds in secrets))
    roots = found[f"kubernetes://{names.get('caCertCredentialName', 'shop')}-cacert"]
    assert (bool(roots.roots), bool(roots.problem)) == (there, not there)


def test_a_server_may_have_two_certificates(authority: Authority) -> None:
    text = secure(credentialName="", credentialNames=["rsa", "kubernetes://ecdsa"])
    found = wanted(text, secret(authority, "rsa"), secret(authority, "ecdsa"))
    assert sorted(found) == ["kubernetes://ecdsa", "kubernetes://rsa"]
    assert all(one.key for one in found.values())


@pytest.mark.parametrize(
    ("export_to", "names"),
    [(["*"], ["kubernetes://shop", "kubernetes://shop-cacert"]), (["."], [])],
)
def test_a_rule_that_the_gateways_namespace_sees_names_secrets(
    authority: Authority, export_to: list[str], names: list[str]
) -> None:
    policy = {"tls": {"mode": "MUTUAL", "credentialName": "shop"}}
    rule = destination_rule("out", host="example.com", namespace="rules", exportTo=export_to, trafficPolicy=policy)
    assert sorted(wanted(rule, secret(authority, holds="tls.crt tls.key ca.crt"))) == names


def test_of_authorities_alone_no_key_is_given(authority: Authority, tmp_path: Path) -> None:
    rule = destination_rule(
        "out", host="a.example", trafficPolicy={"tls": {"mode": "SIMPLE", "credentialName": "shop"}}
    )
    (found,) = wanted(rule, secret(authority, holds="tls.crt tls.key ca.crt")).values()
    assert (found.name, found.key) == ("kubernetes://shop-cacert", "")


@pytest.mark.parametrize(
    ("labels", "names"),
    [({"istio": "ingressgateway"}, ["kubernetes://shop-cacert"]), ({"app": "web"}, [])],
)
def test_a_rule_that_selects_other_workloads_names_no_secrets(
    authority: Authority, labels: dict[str, str], names: list[str]
) -> None:
    policy = {"tls": {"mode": "SIMPLE", "credentialName": "shop"}}
    selector = {"matchLabels": labels}
    rule = destination_rule("out", host="example.com", workloadSelector=selector, trafficPolicy=policy)
    assert sorted(wanted(rule, secret(authority, holds="ca.crt"))) == names
