from __future__ import annotations

from tests.unit.analysis.marked import check

ANALYZER = "injection.Analyzer"
INJECTOR = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data:
  values: |
    {"global": {"hub": "hub.example", "tag": "1.9", "proxy": {"image": "proxyv2"}},
     "sidecarInjectorWebhook": {"enableNamespacesByDefault": %s}}
---
"""


def namespace(name: str, labels: str = "{}") -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata:\n  labels: {labels}\n  name: {name}\n---\n"


def pod(name: str, home: str, *, metadata: str = "", spec: str = "containers: [{name: app, image: app}]") -> str:
    head = f"apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: {home}\n  name: {name}\n"
    return f"{head}  {metadata}\nspec:\n  {spec}\n---\n" if metadata else f"{head}spec:\n  {spec}\n---\n"


def test_labels_of_namespaces() -> None:
    check(
        ANALYZER,
        namespace("silent  #! IST0102 Namespace silent")
        + namespace("on", "{istio-injection: enabled}")
        + namespace("plain", "{istio-injection: disabled}")
        + namespace("revision", "{istio.io/rev: canary}")
        + namespace("ambient", "{istio.io/dataplane-mode: ambient}")
        + namespace("both", "{istio-injection: enabled, istio.io/rev: canary}  #! IST0123 Namespace both")
        + namespace("mixed", "{istio.io/dataplane-mode: ambient, istio.io/rev: x}  #! IST0123 Namespace mixed")
        + namespace("kube-system")
        + namespace("istio-system"),
    )


def test_where_injection_needs_no_label() -> None:
    check(ANALYZER, INJECTOR % "true" + namespace("silent  #! IST0148 Namespace silent"))
    check(ANALYZER, INJECTOR % "false" + namespace("silent  #! IST0102 Namespace silent"))


def test_pods_of_injected_namespaces_have_a_proxy() -> None:
    with_proxy = "{name: istio-proxy, image: proxy}"
    check(
        ANALYZER,
        namespace("shop", "{istio-injection: enabled}")
        + namespace("plain", "{istio-injection: disabled}")
        + pod("bare  #! IST0103 Pod shop/bare", "shop")
        + pod("served", "shop", spec=f"containers: [{with_proxy}]")
        + pod("native", "shop", spec=f"initContainers: [{with_proxy}]")
        + pod("host", "shop", spec="hostNetwork: true")
        + pod("declined", "shop", metadata="labels: {sidecar.istio.io/inject: 'false'}")
        + pod("elsewhere", "plain"),
    )


def test_proxies_are_those_of_the_injector() -> None:
    home = namespace("shop  #! IST0158 Namespace shop", "{istio-injection: enabled}")
    right = pod("right", "shop", spec="containers: [{name: istio-proxy, image: 'hub.example/proxyv2:1.9'}]")
    old = pod("old", "shop", spec="containers: [{name: istio-proxy, image: 'hub.example/proxyv2:1.8'}]")
    (words,) = check("injection.ImageAnalyzer", INJECTOR % "false" + home + right + old)
    assert "the pods old have" in words
    check("injection.ImageAnalyzer", home.replace("#!", "#") + old)
    slim = {"defaultConfig": {"image": {"imageType": "distroless"}}}
    check("injection.ImageAnalyzer", INJECTOR % "false" + home + right, mesh_config=slim)


AUTO = "containers: [{name: istio-proxy, image: auto}]"


def deployment(home: str, mark: str = "", labels: str = "{}") -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: gateway, namespace: {home}}}
spec:
  template:
    metadata: {{labels: {labels}}}
    spec:
      containers:
      - name: istio-proxy
        image: auto{mark}
---
"""


def test_automatic_images_are_replaced() -> None:
    analyzer = "injection.ImageAutoAnalyzer"
    check(analyzer, pod("left", "shop", spec=f"{AUTO}  #! IST0147 Pod shop/left"))
    check(
        analyzer,
        namespace("shop", "{istio-injection: enabled}")
        + namespace("plain")
        + deployment("shop")
        + deployment("unknown")
        + deployment("plain", "  #! IST0146 Deployment plain/gateway"),
    )
    check(analyzer, namespace("plain") + deployment("plain", labels="{sidecar.istio.io/inject: 'true'}"))
    hook = """\
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: injector}
webhooks: [{name: x.istio.io, namespaceSelector: {matchExpressions: [{key: inject, operator: Exists}]}}]
---
"""
    check(analyzer, hook + namespace("plain", "{inject: x}") + deployment("plain"))
    check(analyzer, hook + namespace("plain") + deployment("plain", "  #! IST0146 Deployment plain/gateway"))
