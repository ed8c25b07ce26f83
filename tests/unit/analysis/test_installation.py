from __future__ import annotations

from tests.unit.analysis.marked import check


def test_deprecated_fields_and_kinds() -> None:
    check(
        "deprecation.DeprecationAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: slow}
spec:
  http:
  - fault: {delay: {percent: 5}}  #! IST0002 VirtualService default/slow
  - fault: {delay: {percentage: {value: 5}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: out}
spec:
  outboundTrafficPolicy:
    egressProxy: {host: proxy}  #! IST0002 Sidecar default/out
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: serviceroles.rbac.istio.io}
spec:
  group: rbac.istio.io
  names:
    kind: ServiceRole  #! IST0002 CustomResourceDefinition serviceroles.rbac.istio.io
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRole  #! IST0002 ServiceRole default/old
metadata: {name: old}
""",
    )


TELEMETRY = """\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: case}
spec:
  accessLogging:
  - {}%s
  - disabled: true
  - providers: [{name: envoy}]
  tracing:
  - providers: [{name: otel}]
  - providers: [{name: old}]%s
"""


def test_access_logs_have_a_provider() -> None:
    analyzer = "telemetry.ProviderAnalyzer"
    check(analyzer, TELEMETRY % ("  #! IST0157 Telemetry default/case", ""))
    check(analyzer, TELEMETRY % ("", ""), mesh_config={"defaultProviders": {"accessLogging": ["envoy"]}})


def test_lightstep_is_on_its_way_out() -> None:
    providers = [{"name": "old", "lightstep": {"service": "x"}}, {"name": "otel", "opentelemetry": {"service": "y"}}]
    text = TELEMETRY % ("", "  #! IST0002 Telemetry default/case")
    check("telemetry.LightstepAnalyzer", text, mesh_config={"extensionProviders": providers})
    check("telemetry.LightstepAnalyzer", TELEMETRY % ("", ""))


def test_networks_are_of_registries_that_are_known() -> None:
    text = """\
apiVersion: v1
kind: Secret
metadata: {name: remote, namespace: istio-system, labels: {istio/multiCluster: "true"}}
data: {west: eA==}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: |  #! IST0126 ConfigMap istio-system/istio
    networks:
      near: {endpoints: [{fromRegistry: Kubernetes}, {fromRegistry: west}, {fromCidr: 10.0.0.0/8}]}
      far: {endpoints: [{fromRegistry: east}]}
"""
    check("meshnetworks.MeshNetworksAnalyzer", text)


def test_conditions_that_are_not_met() -> None:
    (words,) = check(
        "conditions.ConditionAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
status:
  conditions:
  - {type: Ready, status: "True"}
  - {type: Bound, status: "False", reason: Gone, message: no waypoint}  #! IST0171 ServiceEntry default/api
""",
    )
    assert words == "its condition Bound is false (Gone: no waypoint)"


def test_a_mesh_config_among_the_resources_counts() -> None:
    text = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultProviders: {accessLogging: [envoy]}
---
"""
    check("telemetry.ProviderAnalyzer", text + TELEMETRY % ("", ""))
