from __future__ import annotations

from tests.unit.analysis.marked import check


def test_mistakes_have_istios_codes() -> None:
    (unknown, code) = check(
        "schema.ValidationAnalyzer.VirtualService",
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case}
spec:
  hosts: [cart]
  http:
  - rout: []  #! IST0106 VirtualService default/case
    match: [{uri: {prefix: /x}}]
  - redirect: {uri: /y, redirectCode: 200}  #! IST0106 VirtualService default/case
""",
    )
    assert unknown == "spec.http[0].rout: unknown field `rout` (did you mean `route`?)"
    assert "200" in code


def test_warnings_have_istios_code() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case}
spec:
  hosts: [cart]
  http:
  - directResponse:
      status: 200
      body:  #! IST0133 VirtualService default/case
        string: "%s"
"""
    check("schema.ValidationAnalyzer.VirtualService", text % ("x" * (101 << 10)))


def test_routes_that_are_never_reached() -> None:
    check(
        "schema.ValidationAnalyzer.VirtualService",
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case}
spec:
  hosts: [cart]
  gateways: [front]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: cart}}]
  - match:
    - uri: {prefix: /a/b}  #! IST0131 VirtualService default/case
    - uri: {prefix: /c}
    route: [{destination: {host: cart}}]
  - match: [{uri: {prefix: /a}}]  #! IST0130 VirtualService default/case
    route: [{destination: {host: cart}}]
  - route: [{destination: {host: cart}}]
  - route: [{destination: {host: cart}}]  #! IST0130 VirtualService default/case
""",
    )


def test_connections_that_are_never_reached() -> None:
    check(
        "schema.ValidationAnalyzer.VirtualService",
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case}
spec:
  hosts: [a.example, b.example]
  tls:
  - match: [{sniHosts: [a.example]}]
    route: [{destination: {host: cart}}]
  - match:
    - {sniHosts: [b.example]}
    - {sniHosts: [a.example]}  #! IST0131 VirtualService default/case
    route: [{destination: {host: cart}}]
  - match: [{sniHosts: [b.example]}]  #! IST0130 VirtualService default/case
    route: [{destination: {host: cart}}]
  tcp:
  - match: [{port: 1}]
    route: [{destination: {host: cart}}]
  - match: [{port: 1}]  #! IST0130 VirtualService default/case
    route: [{destination: {host: cart}}]
  - route: [{destination: {host: cart}}]
  - route: [{destination: {host: cart}}]  #! IST0130 VirtualService default/case
""",
    )


def test_what_mizzen_does_not_implement_is_no_mistake() -> None:
    text = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  type: LoadBalancer%s
  healthCheckNodePort: 30000
  ports: [{name: http, port: 80}]
"""
    check("schema.ValidationAnalyzer.Service", text % "")
    (words,) = check("mizzen.NotImplementedFieldAnalyzer", text % "  #! MZN0001 Service default/cart")
    assert "spec.type, spec.healthCheckNodePort;" in words


def test_kinds_that_mizzen_does_not_act_on_are_told_of_once() -> None:
    one = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin%s\nmetadata: {name: %s}\n---\n"
    (words,) = check(
        "mizzen.NotImplementedKindAnalyzer",
        one % ("  #! MZN0002 WasmPlugin default/a", "a") + one % ("", "b") + "apiVersion: v1\nkind: Pod\n---\n",
    )
    assert "2 resources" in words


def test_services_of_kubernetes_are_not_refused_for_what_mizzen_lacks() -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: %s\n"
    check("schema.ValidationAnalyzer.Service", service % "{clusterIP: None}  #! MZN0007 Service default/cart")
    both = "{ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}"
    check("schema.ValidationAnalyzer.Service", service % both)


def test_workloads_are_mizzens_own() -> None:
    text = "apiVersion: mizzen.dev/v1alpha1\nkind: Workload\nmetadata: {name: w}\nspec:\n  command: [a]%s\n"
    check("schema.ValidationAnalyzer.Workload", text % "")
    check("schema.ValidationAnalyzer.Workload", text % "\n  comand: [a]  #! MZN0003 Workload default/w")


def test_a_resource_that_is_written_twice() -> None:
    one = "apiVersion: v1\nkind: Service\nmetadata:\n  name: cart%s\n---\n"
    (words,) = check("mizzen.DuplicateAnalyzer", one % "  #! MZN0005 Service default/cart" + one % "")
    assert "case.yaml:9" in words


def test_what_is_written_twice_is_not_in_its_own_way() -> None:
    one = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a]}\n---\n"
    check("virtualservice.ConflictingMeshGatewayHostsAnalyzer", one * 2)
