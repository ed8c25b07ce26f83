from __future__ import annotations

from tests.unit.analysis.marked import check

POLICIES = "auth.AuthorizationPoliciesAnalyzer"
WORLD = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart}}
---
apiVersion: v1
kind: Pod
metadata: {name: outside, namespace: plain, labels: {app: outside}}
---
"""


def policy(name: str, spec: str, namespace: str = "shop") -> str:
    return f"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  namespace: {namespace}\n  name: {name}\nspec:\n  {spec}\n---\n"


def test_a_policy_is_for_some_workload() -> None:
    check(
        POLICIES,
        WORLD
        + policy("picked", "selector: {matchLabels: {app: cart}}")
        + policy("gone", "selector: {matchLabels: {app: gone}}  #! IST0127 AuthorizationPolicy shop/gone")
        + policy("whole", "action: DENY")
        + policy("empty  #! IST0127 AuthorizationPolicy nowhere/empty", "action: DENY", "nowhere")
        + policy(
            "outside", "selector: {matchLabels: {app: outside}}  #! IST0127 AuthorizationPolicy plain/outside", "plain"
        )
        + policy("mesh", "action: DENY", "istio-system")
        + policy("everywhere", "selector: {matchLabels: {app: cart}}", "istio-system")
        + policy("aimed", "targetRefs: [{kind: Service, name: cart}]", "nowhere"),
    )


def test_namespaces_of_sources_exist() -> None:
    rules = """\
rules:
  - from:
    - source:
        namespaces:
        - shop
        - sh*
        - "*p"
        - shpo  #! IST0101 AuthorizationPolicy shop/case
        notNamespaces:
        - gone  #! IST0101 AuthorizationPolicy shop/case"""
    check(POLICIES, WORLD + policy("case", rules))


def test_files_without_namespaces_do_not_say_which_exist() -> None:
    check(POLICIES, policy("case", "rules: [{from: [{source: {namespaces: [gone]}}]}]"))


def test_keys_are_not_fetched_from_anywhere() -> None:
    deployment = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: istiod%s
  namespace: istio-system
  labels: {app: istiod}
spec: {template: {spec: {containers: [{name: discovery, env: [{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: "%s"}]}]}}}
---
"""
    tokens = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens}\n"
    analyzer = "authn.BlockedCIDRsAnalyzer"
    check(analyzer, deployment % ("  #! IST0175 Deployment istio-system/istiod", "") + tokens)
    check(analyzer, deployment % ("", "10.0.0.0/8") + tokens)
    check(analyzer, deployment % ("", ""))
