from __future__ import annotations

from tests.unit.analysis.marked import check

PODS = """\
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart, version: v1}}
---
apiVersion: v1
kind: Pod
metadata: {name: stock, namespace: shop, labels: {app: stock}}
---
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: front}}
---
apiVersion: v1
kind: Namespace
metadata: {name: still, labels: {istio.io/dataplane-mode: ambient}}
---
"""


def sidecar(name: str, labels: str = "", namespace: str = "shop") -> str:
    selector = f"\nspec:\n  workloadSelector:\n    labels: {labels}" if labels else "\nspec: {}"
    return f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata:\n  namespace: {namespace}\n  name: {name}{selector}\n---\n"


def test_sidecars_pick_workloads_and_no_two_the_same() -> None:
    check(
        "sidecar.SelectorAnalyzer",
        PODS
        + sidecar("one", "{app: cart}  #! IST0110 Sidecar shop/one")
        + sidecar("two", "{version: v1}  #! IST0110 Sidecar shop/two")
        + sidecar("stock", "{app: stock}")
        + sidecar("gone", "{app: gone}  #! IST0101 Sidecar shop/gone")
        + sidecar("elsewhere", "{app: cart}  #! IST0101 Sidecar ops/elsewhere", "ops")
        + sidecar("all", "", "ops")
        + sidecar("first  #! IST0111 Sidecar shop/first")
        + sidecar("second  #! IST0111 Sidecar shop/second")
        + sidecar("ambient  #! IST0167 Sidecar still/ambient", "", "still"),
    )


def telemetry(name: str, spec: str, namespace: str = "shop") -> str:
    return f"apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata:\n  namespace: {namespace}\n  name: {name}\nspec:\n  {spec}\n---\n"


def test_telemetries_pick_workloads_and_no_two_the_same() -> None:
    check(
        "telemetry.SelectorAnalyzer",
        PODS
        + telemetry("one", "selector: {matchLabels: {app: cart}}  #! IST0159 Telemetry shop/one")
        + telemetry("two", "selector: {matchLabels: {version: v1}}  #! IST0159 Telemetry shop/two")
        + telemetry("gone", "selector: {matchLabels: {app: gone}}  #! IST0101 Telemetry shop/gone")
        + telemetry("aimed", "targetRefs: [{kind: Gateway, name: front}]")
        + telemetry("all", "tracing: []"),
    )


def test_one_telemetry_is_for_a_whole_namespace() -> None:
    check(
        "telemetry.DefaultSelectorAnalyzer",
        telemetry("one  #! IST0160 Telemetry shop/one", "tracing: []")
        + telemetry("two  #! IST0160 Telemetry shop/two", "metrics: []")
        + telemetry("other", "metrics: []", "ops")
        + telemetry("aimed", "targetRefs: [{kind: Gateway, name: front}]"),
    )


def test_gateways_of_the_gateway_api_are_not_picked_by_labels() -> None:
    label = "gateway.networking.k8s.io/gateway-name: front"
    check(
        "k8sgateway.SelectorAnalyzer",
        PODS
        + telemetry("picked", f"selector: {{matchLabels: {{{label}}}}}  #! IST0166 Telemetry shop/picked")
        + telemetry("aimed", "targetRefs: [{kind: Gateway, name: front}]")
        + telemetry("other", "selector: {matchLabels: {app: cart}}"),
    )
