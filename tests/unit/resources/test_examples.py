"""Istio's published Bookinfo files load unchanged; what else its documentation shows loads, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.resources.loading import load, load_paths
from mizzen.resources.problems import errors
from mizzen.resources.references import check_references

BOOKINFO = Path(__file__).parents[3] / "examples" / "bookinfo"
NETWORKING = sorted((BOOKINFO / "networking").glob("*.yaml"))


def test_the_published_files_are_there() -> None:
    assert len(NETWORKING) >= 7


@pytest.mark.parametrize("path", NETWORKING, ids=lambda path: path.name)
def test_a_published_file_loads_and_fits_bookinfo(path: Path) -> None:
    assert load_paths([path]).problems == ()
    rules = BOOKINFO / "networking" / "destination-rule-all.yaml"
    loaded = load_paths([BOOKINFO, rules, path])
    assert loaded.problems == ()
    problems = check_references(loaded.resources)
    assert errors(problems) == []
    assert {problem.code for problem in problems} <= {"IST0173"}


# Written anew after the tasks of Istio's documentation: what a user of those brings along.
CIRCUIT_BREAKER = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 1
      http:
        http1MaxPendingRequests: 1
        maxRequestsPerConnection: 1
    outlierDetection:
      consecutive5xxErrors: 1
      interval: 1s
      baseEjectionTime: 3m
      maxEjectionPercent: 100
"""
FAULT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - match:
    - headers:
        end-user:
          exact: jason
    fault:
      delay:
        percentage:
          value: 100.0
        fixedDelay: 7s
    route:
    - destination:
        host: ratings
        subset: v1
  - route:
    - destination:
        host: ratings
        subset: v1
"""
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: bookinfo-gateway
spec:
  selector:
    istio: ingressgateway
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: bookinfo
spec:
  hosts:
  - "*"
  gateways:
  - bookinfo-gateway
  http:
  - match:
    - uri: {exact: /productpage}
    route:
    - destination: {host: productpage, port: {number: 9080}}
"""
MIRROR = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin}
spec:
  hosts: [httpbin]
  http:
  - route:
    - destination: {host: httpbin, subset: v1}
      weight: 100
    mirror: {host: httpbin, subset: v2}
    mirrorPercentage: {value: 100.0}
"""
TIMEOUT = """
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v2}
    timeout: 0.5s
"""
SERVICE_OF_BOOKINFO = """
apiVersion: v1
kind: Service
metadata:
  name: details
  labels: {app: details, service: details}
spec:
  ports:
  - port: 9080
    name: http
  selector: {app: details}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: bookinfo-details, labels: {account: details}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: details-v1}
"""


@pytest.mark.parametrize(
    ("text", "resources", "paths"),
    [
        (CIRCUIT_BREAKER, ["httpbin"], []),
        (FAULT, ["ratings"], []),
        (GATEWAY, ["bookinfo-gateway", "bookinfo"], []),
        (MIRROR, ["httpbin"], []),
        (TIMEOUT, ["reviews"], []),
        (SERVICE_OF_BOOKINFO, ["details"], ["kind", "kind"]),
    ],
)
def test_what_istios_documentation_shows_loads_or_says_what_is_not_implemented(
    text: str, resources: list[str], paths: list[str]
) -> None:
    loaded = load(text, "f")
    assert [resource.name for resource in loaded.resources] == resources
    assert [(problem.code, problem.path) for problem in loaded.problems] == [("NotImplemented", path) for path in paths]
