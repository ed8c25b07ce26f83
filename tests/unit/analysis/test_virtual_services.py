from __future__ import annotations

import pytest
from tests.unit.analysis.marked import check

SHOP = """\
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: grpc, port: 90}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: shop, annotations: {networking.istio.io/exportTo: "., ops"}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partners, namespace: shop}
spec: {hosts: ["*.partner.example", api.bank.example], ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: private, namespace: ops}
spec: {hosts: [vault.example], exportTo: ["."], ports: [{number: 443, name: tls, protocol: TLS}]}
---
"""
HOSTS = "virtualservice.DestinationHostAnalyzer"


@pytest.mark.parametrize(
    "routes",
    [
        "- route: [{destination: {host: cart}}]",
        "- route: [{destination: {host: cart.shop.svc.cluster.local, port: {number: 80}}}]",
        "- route: [{destination: {host: eu.partner.example}}]",
        "- route: [{destination: {host: hidden}}]",
        "- route: [{destination: {host: curt}}]  #! IST0101 VirtualService shop/case",
        "- route: [{destination: {host: cart.shop}}]  #! IST0101 VirtualService shop/case",
        "- route: [{destination: {host: vault.example}}]  #! IST0101 VirtualService shop/case",
        "- route: [{destination: {host: stock}}]  #! IST0112 VirtualService shop/case",
        "- route: [{destination: {host: stock, port: {number: 90}}}]",
        "- route: [{destination: {host: cart, port: {number: 81}}}]  #! IST0101 VirtualService shop/case",
        "- {route: [{destination: {host: cart}}], mirror: {host: curt}}  #! IST0101 VirtualService shop/case",
        "- {route: [{destination: {host: cart}}], mirrors: [{destination: {host: gone}}]}  #! IST0101 VirtualService shop/case",
    ],
)
def test_a_route_leads_to_a_host_and_a_port_that_exist(routes: str) -> None:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: case, namespace: shop}\n"
    check(HOSTS, f"{SHOP}{head}spec:\n  hosts: [cart]\n  http:\n  {routes}\n")


def test_tls_and_tcp_routes_are_looked_at_as_well() -> None:
    check(
        HOSTS,
        SHOP
        + """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: shop}
spec:
  hosts: [cart]
  tls:
  - match: [{sniHosts: [cart]}]
    route: [{destination: {host: nobody}}]  #! IST0101 VirtualService shop/case
  tcp:
  - route: [{destination: {host: nothing}}]  #! IST0101 VirtualService shop/case
""",
    )


def test_without_any_service_hosts_are_elsewhere() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case}
spec: {hosts: [cart], http: [{route: [{destination: {host: cart}}]}]}%s
"""
    check(HOSTS, text % "")
    words = check(HOSTS, text % "  #! IST0101 VirtualService default/case", running=True)
    assert words == [
        "the host 'cart', which means cart.default.svc.cluster.local, is no Service and in no ServiceEntry"
    ]


def test_services_of_namespaces_that_the_files_do_not_have_are_elsewhere() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: shop}
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: istio-egressgateway.istio-system.svc.cluster.local}%s
    - destination: {host: gone.shop.svc.cluster.local}  #! IST0101 VirtualService shop/case
"""
    check(HOSTS, SHOP + text % "")
    check(HOSTS, SHOP + text % "  #! IST0101 VirtualService shop/case", running=True)


def test_a_host_that_is_almost_right_comes_with_the_right_one() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: ops}
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: cart}  #! IST0101 VirtualService ops/case
    - destination: {host: crt.shop.svc.cluster.local}  #! IST0101 VirtualService ops/case
    - destination: {host: hidden.shop.svc.cluster.local}
"""
    words = check(HOSTS, SHOP + text)
    assert all(word.endswith("did you mean cart.shop.svc.cluster.local?") for word in words)


def test_a_service_that_is_not_exported_is_told_of_as_such() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: web}
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: hidden.shop.svc.cluster.local}  #! IST0101 VirtualService web/case
"""
    (word,) = check(HOSTS, SHOP + text)
    assert word.endswith("it is not exported to the namespaces in which this has effect")


@pytest.mark.parametrize(
    ("export_to", "mark"), [("[ops]", ""), ("[web, ops]", ""), ("[web]", "  #! IST0101 VirtualService shop/case")]
)
def test_a_route_has_effect_where_it_is_exported_to(export_to: str, mark: str) -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: shop}
spec:
  hosts: [hidden]
  exportTo: %s
  http:
  - route:
    - destination: {host: hidden}%s
"""
    check(HOSTS, SHOP + text % (export_to, mark))


def test_subsets_of_the_mesh_do_not_split_what_comes_through_a_gateway() -> None:
    check(
        HOSTS,
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec: {hosts: [cart], http: [{route: [{destination: {host: cart, subset: v1}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: entry}
spec:
  hosts: [cart.example]
  gateways: [front]
  http:
  - route:
    - destination: {host: cart}  #! IST0140 VirtualService default/entry
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside}
spec: {hosts: [cart.example], gateways: [mesh], http: [{route: [{destination: {host: cart}}]}]}
""",
    )


def test_a_subset_is_defined_by_a_rule_for_the_host() -> None:
    words = check(
        "virtualservice.DestinationRuleAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, subsets: [{name: stable}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wide, namespace: shop}
spec: {host: "*.ops.svc.cluster.local", subsets: [{name: wide}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: shop}
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: cart, subset: stable}
    - destination: {host: cart.shop.svc.cluster.local, subset: stable}
    - destination: {host: any.ops.svc.cluster.local, subset: wide}
    - destination: {host: cart, subset: stabel}  #! IST0101 VirtualService shop/case
    - destination: {host: stock, subset: v1}  #! IST0101 VirtualService shop/case
    mirror: {host: cart, subset: none}  #! IST0101 VirtualService shop/case
""",
    )
    assert (
        words[0] == "the subset 'stabel' of 'cart' is not defined in DestinationRule shop/cart; did you mean 'stable'?"
    )
    assert words[1].endswith("no DestinationRule is for that host")


def test_gateways_exist_and_serve_the_hosts() -> None:
    check(
        "virtualservice.GatewayAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec: {servers: [{hosts: ["*.shop.example", "ops/*.ops.example", ./edge.example]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: modern, namespace: edge}
spec: {listeners: [{name: http, hostname: "*.modern.example"}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: good, namespace: shop}
spec: {hosts: [www.shop.example], gateways: [mesh, edge/front]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: modern, namespace: shop}
spec: {hosts: [www.modern.example], gateways: [edge/modern]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: own, namespace: ops}
spec: {hosts: [a.ops.example], gateways: [edge/front]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: foreign, namespace: shop}
spec:
  hosts: [a.ops.example]
  gateways:
  - edge/front  #! IST0132 VirtualService shop/foreign
  - front  #! IST0101 VirtualService shop/foreign; IST0132 VirtualService shop/foreign
  - edge/x-istio-autogenerated-k8s-gateway-http  #! IST0165 VirtualService shop/foreign
""",
    )


def test_claims_route_only_where_tokens_are_verified() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: front-1, namespace: edge, labels: {app: front}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec: {selector: {app: front}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: edge}
spec:
  gateways: [front]
  http:
  - match:
    - headers: {"@request.auth.claims.team": {exact: ops}}%s
"""
    check("virtualservice.JWTClaimRouteAnalyzer", text % "  #! IST0149 VirtualService edge/case")
    verified = """\
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: edge}
spec: {selector: {matchLabels: {app: front}}}
"""
    check("virtualservice.JWTClaimRouteAnalyzer", text % "" + verified)


def test_a_host_has_one_owner() -> None:
    words = check(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first, namespace: shop}
spec:
  hosts: [cart]  #! IST0109 VirtualService shop/first
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second, namespace: shop}
spec:
  gateways: [mesh, front]
  hosts:
  - cart.shop.svc.cluster.local  #! IST0109 VirtualService shop/second
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: shop}
spec: {hosts: [cart], gateways: [front]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other-namespace, namespace: ops}
spec: {hosts: [cart]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mine, namespace: a}
spec: {hosts: [one.test], exportTo: [.]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mine, namespace: b}
spec: {hosts: [one.test], exportTo: [.]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: narrow, namespace: a}
spec:
  hosts: ["*.eu.example"]  #! IST0109 VirtualService a/narrow
  exportTo: [.]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wide, namespace: b}
spec:
  hosts: ["*.example"]  #! IST0109 VirtualService b/wide
""",
    )
    assert "VirtualService shop/second too" in words[0]
