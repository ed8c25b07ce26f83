from __future__ import annotations

import pytest
from tests.unit.analysis.marked import check

ANALYZER = "annotations.K8sAnalyzer"
CASE = """\
apiVersion: %s
kind: %s
metadata:
  name: case
  labels: %s
  annotations:
    example.com/own: anything
    %s%s
"""


@pytest.mark.parametrize(
    ("kind", "annotation", "code"),
    [
        ("Pod", "sidecar.istio.io/logLevel: debug", ""),
        ("Service", "networking.istio.io/exportTo: '.'", ""),
        ("Namespace", "galley.istio.io/analyze-suppress: IST0102", ""),
        ("Pod", "sidecar.istio.io/loglevel: debug", "IST0108"),
        ("Service", "sidecar.istio.io/logLevel: debug", "IST0107"),
        ("Deployment", "sidecar.istio.io/proxyCPU: 100m", "IST0107"),
        ("Pod", "kubernetes.io/ingress.class: istio", "IST0107"),
        ("Pod", "sidecar.istio.io/inject: 'true'", "IST0135"),
        ("Pod", "sidecar.istio.io/statsInclusionPrefixes: a", "IST0135"),
        ("Pod", "sidecar.istio.io/interceptionMode: TPROXY", ""),
        ("Pod", "sidecar.istio.io/interceptionMode: tproxy", "IST0125"),
        ("Pod", "status.sidecar.istio.io/port: '70000'", "IST0125"),
        ("Pod", "sidecar.istio.io/proxyMemory: lots", "IST0125"),
        ("Pod", "prometheus.istio.io/merge-metrics: 'maybe'", "IST0125"),
        ("Pod", "readiness.status.sidecar.istio.io/periodSeconds: '-1'", "IST0125"),
        ("Pod", "traffic.sidecar.istio.io/includeInboundPorts: '*'", ""),
        ("Pod", "traffic.sidecar.istio.io/excludeInboundPorts: '80, http'", "IST0125"),
        ("Pod", "traffic.sidecar.istio.io/includeOutboundIPRanges: '10.0.0.0/8,fd00::/8'", ""),
        ("Pod", "traffic.sidecar.istio.io/excludeOutboundIPRanges: '10.0.0.1'", "IST0125"),
        ("Pod", "traffic.sidecar.istio.io/excludeOutboundIPRanges: 'all'", "IST0125"),
    ],
)
def test_annotations(kind: str, annotation: str, code: str) -> None:
    shown = f"{kind} case" if kind == "Namespace" else f"{kind} default/case"
    mark = f"  #! {code} {shown}" if code else ""
    check(ANALYZER, CASE % ("apps/v1" if kind == "Deployment" else "v1", kind, "{}", annotation, mark))


def test_who_has_the_label_too_knows() -> None:
    check(ANALYZER, CASE % ("v1", "Pod", "{sidecar.istio.io/inject: 'true'}", "sidecar.istio.io/inject: 'true'", ""))


def test_a_typing_mistake_comes_with_what_is_meant() -> None:
    mark = "  #! IST0108 Pod default/case"
    (words,) = check(ANALYZER, CASE % ("v1", "Pod", "{}", "sidecar.istio.io/loglevel: debug", mark))
    assert words.endswith("did you mean sidecar.istio.io/logLevel?")
