"""What is said of Secrets that are not where a proxy may have them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.certificates import Authority, secret
from tests.support.worlds import read
from tests.support.written import destination_rule, gateway, gateway_workload, server

from mizzen.resources.credential_references import check_credentials
from mizzen.resources.problems import Problem


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def problems(*texts: str) -> list[Problem]:
    return list(check_credentials(read(*texts)))


def secure(**tls: Any) -> str:
    return gateway("edge", server(443, protocol="HTTPS", tls={"mode": "SIMPLE", "credentialName": "shop", **tls}))


def rule(**tls: Any) -> str:
    return destination_rule("out", host="a.example", trafficPolicy={"tls": {"credentialName": "shop", **tls}})


def test_what_is_there_is_not_told_of(authority: Authority) -> None:
    assert problems(gateway_workload(), secure(), secret(authority)) == []
    mutual = secure(mode="MUTUAL")
    assert problems(gateway_workload(), mutual, secret(authority, holds="tls.crt tls.key ca.crt")) == []
    assert problems(gateway_workload(), rule(mode="SIMPLE"), secret(authority, holds="ca.crt")) == []


@pytest.mark.parametrize(
    ("name", "namespace", "hint"),
    [
        ("shops", "default", "did you mean `shops`?"),
        ("shop", "elsewhere", "it is in namespace elsewhere, but a proxy has Secrets of its own namespace alone"),
        ("quite-another", "default", "until it is applied connections that need it are closed"),
    ],
)
def test_a_missing_secret_is_a_warning_with_what_to_do(
    authority: Authority, name: str, namespace: str, hint: str
) -> None:
    (problem,) = problems(gateway_workload(), secure(), secret(authority, name, namespace=namespace))
    assert (problem.code, problem.level, problem.hint) == ("IST0101", "warning", hint)
    assert problem.path == "spec.servers[0].tls.credentialName"
    assert problem.message == "there is no Secret shop in namespace default, which is the proxy's"


def test_a_secret_that_cannot_serve_is_an_error(authority: Authority) -> None:
    (no_certificate,) = problems(gateway_workload(), secure(), secret(authority, holds="ca.crt"))
    (no_roots,) = problems(gateway_workload(), secure(mode="MUTUAL"), secret(authority))
    assert [(one.code, one.level) for one in (no_certificate, no_roots)] == [("IST0161", "error")] * 2
    assert "holds no certificate with its key" in no_certificate.message
    assert "holds no certificates of authorities" in no_roots.message


def test_where_no_gateway_runs_nothing_is_missed(authority: Authority) -> None:
    assert problems(secure()) == []


@pytest.mark.trap(13)
def test_sidecars_have_no_secrets_of_rules_for_everybody(authority: Authority) -> None:
    (problem,) = problems(rule(mode="SIMPLE"), secret(authority, holds="ca.crt"))
    assert (problem.code, problem.level) == ("NoCredentialAtSidecars", "warning")
    assert "workloadSelector" in problem.hint
    found = problems(gateway_workload(), rule(mode="MUTUAL"))
    assert [one.code for one in found] == ["IST0101", "IST0101"]


@pytest.mark.parametrize("labels", [{"app": "web"}, {"istio": "ingressgateway"}])
@pytest.mark.parametrize(
    ("holds", "codes"),
    [("tls.crt tls.key ca.crt", []), ("tls.crt tls.key", ["IST0161"]), ("ca.crt", ["IST0161"])],
)
def test_a_rule_that_selects_has_the_secrets_of_its_namespace(
    authority: Authority, labels: dict[str, str], holds: str, codes: list[str]
) -> None:
    def found(namespace: str) -> list[str]:
        policy = {"tls": {"mode": "MUTUAL", "credentialName": "shop"}}
        selector = {"matchLabels": labels}
        chosen = destination_rule("out", host="a.example", workloadSelector=selector, trafficPolicy=policy)
        held = secret(authority, holds=holds, namespace=namespace)
        return [one.code for one in problems(gateway_workload(), chosen, held)]

    assert found("default") == codes
    assert found("elsewhere") == ["IST0101", "IST0101"]
