"""Which Secrets and files an instance may have, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.certificates import Authority, secret
from tests.support.worlds import instances_of, read
from tests.support.written import destination_rule, gateway, gateway_workload, server, workload

from mizzen.registry.credentials import Credentials
from mizzen.registry.reports import FileSecret
from mizzen.registry.secrets import instance_secrets
from mizzen.resources.destination_rule import ClientTLSSettings

WITHOUT = "there is no Secret shop in namespace default"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def wanted(*texts: str) -> dict[str, FileSecret]:
    """What the gateway has."""
    return at("ingress-0", gateway_workload(), *texts)


def at(instance: str, *texts: str) -> dict[str, FileSecret]:
    resources = read(*texts)
    kinds = {kind: [one for one in resources if one.key.kind == kind] for kind in ("Gateway", "DestinationRule")}
    credentials = Credentials.of(resources, "/state/secrets")
    found = instance_secrets(kinds["Gateway"], kinds["DestinationRule"], instances_of(resources), credentials)
    return {secret.name: secret for one in found if instance in one.instances for secret in one.secrets}


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


ROOTS = ["kubernetes://shop-cacert"]
CLIENT = {"mode": "MUTUAL", "clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/ca.pem"}


def out(tls: dict[str, str], **spec: Any) -> str:
    return destination_rule("out", host="example.com", trafficPolicy={"tls": tls}, **spec)


@pytest.mark.parametrize(
    ("spec", "edge", "web"),
    [
        ({"workloadSelector": {"matchLabels": {"istio": "ingressgateway"}}}, ROOTS, []),
        ({"workloadSelector": {"matchLabels": {"app": "web"}}}, [], ROOTS),
        ({"workloadSelector": {"matchLabels": {"app": "other"}}}, [], []),
        ({}, ROOTS, []),
    ],
)
def test_a_sidecar_has_secrets_of_rules_that_select_it(
    authority: Authority, spec: dict[str, Any], edge: list[str], web: list[str]
) -> None:
    rule = out({"mode": "SIMPLE", "credentialName": "shop"}, **spec)
    texts = (gateway_workload(), workload("web"), rule, secret(authority, holds="ca.crt"))
    assert (sorted(at("ingress-0", *texts)), sorted(at("web-0", *texts))) == (edge, web)


def test_a_rule_selects_workloads_of_its_own_namespace_alone(authority: Authority) -> None:
    rule = out(
        {"mode": "SIMPLE", "credentialName": "shop"},
        namespace="rules",
        workloadSelector={"matchLabels": {"app": "web"}},
    )
    assert at("web-0", workload("web"), rule, secret(authority, holds="ca.crt")) == {}
    (missing,) = at("web-0", workload("web", namespace="rules"), rule, secret(authority, holds="ca.crt")).values()
    assert missing.problem == "there is neither Secret shop-cacert nor shop in namespace rules"


@pytest.mark.parametrize(("export_to", "there"), [(["*"], True), (["."], False)])
def test_everybody_who_sees_a_rule_has_its_files(export_to: list[str], there: bool) -> None:
    rule = out(CLIENT, namespace="rules", exportTo=export_to)
    found = at("web-0", workload("web"), rule)
    assert found == at("ingress-0", gateway_workload(), rule)
    certificate = FileSecret(name="file-cert:/c.pem~/k.pem", certificate="/c.pem", key="/k.pem")
    roots = FileSecret(name="file-root:/ca.pem", roots="/ca.pem")
    assert list(found.values()) == ([certificate, roots] if there else [])


def test_a_list_of_what_is_revoked_is_with_its_authorities() -> None:
    both = out({"mode": "SIMPLE", "caCertificates": "/ca.pem", "caCrl": "/crl.pem"})
    alone = out({"mode": "SIMPLE", "caCrl": "/crl.pem"})
    found = [at("web-0", workload("web"), rule) for rule in (both, alone)]
    assert found == [
        {"file-root:/ca.pem~/crl.pem": FileSecret(name="file-root:/ca.pem~/crl.pem", roots="/ca.pem", crl="/crl.pem")},
        {"file-root:system~/crl.pem": FileSecret(name="file-root:system~/crl.pem", crl="/crl.pem")},
    ]


def test_what_the_mesh_says_to_hosts_that_it_does_not_know_needs_files_at_all_but_gateways() -> None:
    instances = instances_of(read(workload("web"), gateway_workload()))
    given = ClientTLSSettings.model_validate(CLIENT)
    (found,) = instance_secrets([], [], instances, Credentials(), given)
    assert found.instances == ("web-0",)
    assert [one.name for one in found.secrets] == ["file-cert:/c.pem~/k.pem", "file-root:/ca.pem"]


def test_instances_that_have_the_same_are_told_of_together() -> None:
    resources = read(workload("web", replicas=2), workload("api", namespace="far"), out(CLIENT))
    rules = [one for one in resources if one.key.kind == "DestinationRule"]
    instances = [
        *instances_of(resources),
        msgspec.structs.replace(instances_of(resources)[0], name="bare", capture="none"),
    ]
    found = instance_secrets([], rules, instances, Credentials())
    assert [(one.namespace, one.instances) for one in found] == [("default", ("web-0", "web-1")), ("far", ("api-0",))]
    assert instance_secrets([], [], instances, Credentials()) == ()
