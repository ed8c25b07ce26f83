from __future__ import annotations

from tests.unit.analysis.marked import check

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: istiod, namespace: istio-system}\n---\n"


def configuration(name: str, hook: str, kind: str = "Mutating") -> str:
    return f"""\
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{name: {name}}}
webhooks:
- name: inject.istio.io
  {hook}
---
"""


def test_one_injector_takes_a_pod() -> None:
    enabled = "namespaceSelector: {matchLabels: {istio-injection: enabled}}"
    revision = "namespaceSelector: {matchLabels: {istio.io/rev: canary}}"
    check("webhook.Analyzer", configuration("a", enabled))
    text = configuration("a", enabled) + configuration("b", revision)
    marked = text.replace(
        "- name: inject.istio.io", "- name: inject.istio.io  #! IST0139 MutatingWebhookConfiguration %s"
    )
    check("webhook.Analyzer", marked % ("a", "b"))
    strict = (
        "namespaceSelector: {matchExpressions: [{key: istio.io/rev, operator: DoesNotExist},"
        " {key: istio-injection, operator: In, values: [enabled]}]}"
    )
    check("webhook.Analyzer", configuration("a", strict) + configuration("b", revision))
    other = configuration("c", enabled).replace("inject.istio.io", "policy.example")
    check("webhook.Analyzer", configuration("a", enabled) + other)


def test_the_service_of_an_injector_exists() -> None:
    right = "clientConfig: {service: {name: istiod, namespace: istio-system}}"
    wrong = "clientConfig: {service: {name: istio, namespace: istio-system}}  #! IST0139 MutatingWebhookConfiguration a"
    check("webhook.Analyzer", SERVICE + configuration("a", right))
    check("webhook.Analyzer", SERVICE + configuration("a", wrong))
    check("webhook.Analyzer", configuration("a", wrong.partition("  #!")[0]))


def test_external_control_planes_are_named_by_host() -> None:
    analyzer = "externalcontrolplane.ExternalControlPlaneAnalyzer"
    injector, validator = "istio-sidecar-injector-x", "istio-validator-x"
    mutating, validating = f"MutatingWebhookConfiguration {injector}", f"ValidatingWebhookConfiguration {validator}"
    check(analyzer, configuration(injector, "clientConfig: {url: 'https://istiod.example:15017/inject'}"))
    check(analyzer, configuration(injector, "clientConfig: {service: {name: istiod}}"))
    check(analyzer, configuration("other", "clientConfig: {}"))
    check(analyzer, configuration(injector, f"clientConfig: {{url: 'https://10.0.0.1/x'}}  #! IST0164 {mutating}"))
    check(analyzer, configuration(injector, f"clientConfig: {{url: '/inject'}}  #! IST0163 {mutating}"))
    check(analyzer, configuration(validator, f"clientConfig: {{}}  #! IST0163 {validating}", "Validating"))
