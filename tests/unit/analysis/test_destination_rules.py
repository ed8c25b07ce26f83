from __future__ import annotations

from tests.unit.analysis.marked import check

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
---
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart-v1}
spec: {template: {metadata: {labels: {app: cart, version: v1}}}}
---
"""
WORKLOAD = """\
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: cart-v1, labels: {app: cart, version: v1}}
spec: {command: [cart]}
---
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: %s
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}%s
  - name: here
    labels: {topology.kubernetes.io/zone: a}
"""
SUBSETS = "destinationrule.SubsetSelectPodAnalyzer"
EMPTY = "  #! IST0173 DestinationRule default/cart"
UNKNOWN = "  #! IST0174 DestinationRule default/cart"


def test_a_subset_picks_a_workload() -> None:
    check(SUBSETS, SERVICE + DEPLOYMENT + RULE % ("cart", EMPTY))
    check(SUBSETS, SERVICE + WORKLOAD + RULE % ("cart", EMPTY))


def test_without_workloads_subsets_are_not_judged() -> None:
    check(SUBSETS, SERVICE + RULE % ("cart", ""))
    check(SUBSETS, RULE % ("cart", ""))


def test_the_host_of_a_rule_exists() -> None:
    check(SUBSETS, SERVICE + RULE % (f"crt{UNKNOWN}", ""))
    check(SUBSETS, SERVICE + RULE % ('"*.default.svc.cluster.local"', ""))
    check(SUBSETS, SERVICE + RULE % (f'"*.nowhere.example"{UNKNOWN}', ""))
    check(SUBSETS, RULE % (f"cart{UNKNOWN}", ""), running=True)


def test_certificates_of_servers_are_verified() -> None:
    check(
        "destinationrule.CaCertificateAnalyzer",
        """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: open}
spec:
  host: bank.example
  trafficPolicy:
    tls:
      mode: SIMPLE
      insecureSkipVerify: true  #! IST0128 DestinationRule default/open
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: SIMPLE, insecureSkipVerify: true}  #! IST0129 DestinationRule default/open
    - port: {number: 444}
      tls: {mode: SIMPLE, caCertificates: /etc/ca.pem}
  subsets:
  - name: v1
    trafficPolicy:
      tls: {mode: SIMPLE, insecureSkipVerify: true}  #! IST0128 DestinationRule default/open
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: system}
spec: {host: bank.example, trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mesh}
spec: {host: cart, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: secret}
spec: {host: bank.example, trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}}
""",
    )
