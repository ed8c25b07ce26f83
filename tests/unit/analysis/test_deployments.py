from __future__ import annotations

from tests.unit.analysis.marked import check


def service(name: str, ports: str, namespace: str = "default") -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{selector: {{app: cart}}, ports: {ports}}}\n---\n"


def deployment(mark: str = "", metadata: str = "") -> str:
    return f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: cart{mark}{metadata}\nspec: {{template: {{metadata: {{labels: {{app: cart}}}}}}}}\n"


def test_services_agree_about_a_deployment() -> None:
    analyzer = "deployment.MultiServiceAnalyzer"
    a = service("a", "[{port: 80, targetPort: 8080}]")
    check(analyzer, a + service("b", "[{port: 80, targetPort: 8080}]") + deployment())
    udp = service("b", "[{port: 80, targetPort: 9, protocol: UDP}]")
    check(analyzer, a + udp + deployment("  #! IST0116 Deployment default/cart"))
    other = service("b", "[{port: 81, targetPort: 8080}]")
    check(analyzer, a + other + deployment("  #! IST0137 Deployment default/cart"))
    check(analyzer, a + service("b", "[{port: 81, targetPort: 8080}]", "elsewhere") + deployment())
    outside = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n"
    check(analyzer, outside + a + other + deployment())


def test_applications_are_not_the_user_of_the_proxy() -> None:
    analyzer = "applicationUID.Analyzer"
    check(
        analyzer,
        """\
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  securityContext:
    runAsUser: 1337  #! IST0144 Pod default/one
  containers:
  - {name: istio-proxy, securityContext: {runAsUser: 1337}}
  - {name: app, securityContext: {runAsUser: 1000}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: two}
spec:
  template:
    spec:
      containers:
      - name: app
        securityContext: {runAsUser: 1337}  #! IST0144 Deployment default/two
---
apiVersion: v1
kind: Pod
metadata: {name: part, labels: {istio: gateway}}
spec: {securityContext: {runAsUser: 1337}}
""",
    )


def test_ports_say_their_protocol() -> None:
    check(
        "service.PortNameAnalyzer",
        """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  ports:
  - {name: http-web, port: 80}
  - {name: grpc, port: 81}
  - {name: web, port: 82, appProtocol: http}
  - {name: db, port: 3306}
  - {name: dns, port: 5353, protocol: UDP}
  - {name: web, port: 83}  #! IST0118 Service default/cart
  - {port: 84}  #! IST0118 Service default/cart
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec:
  type: ExternalName
  ports:
  - {name: http, port: 80}
  - {name: tcp, port: 81}  #! IST0150 Service default/outside
  - {port: 82}  #! IST0150 Service default/outside
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system}
spec: {ports: [{port: 84}]}
---
apiVersion: v1
kind: Service
metadata: {name: pilot, labels: {istio: pilot}}
spec: {ports: [{port: 84}]}
""",
    )


def test_routes_are_for_what_a_service_speaks() -> None:
    text = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {ports: [{name: %s, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart}
spec:
  hosts: [cart]%s
  %s: [{route: [{destination: {host: cart}}]}]
"""
    mark = "  #! MZN0006 VirtualService default/cart"
    for port, kind, useless in (
        ("http", "http", False),
        ("grpc-web", "http", False),
        ("tcp", "tcp", False),
        ("tls", "tls", False),
        ("web", "http", False),
        ("tcp", "http", True),
        ("http", "tcp", True),
        ("https", "http", True),
    ):
        check("mizzen.RouteProtocolAnalyzer", text % (port, mark if useless else "", kind))
