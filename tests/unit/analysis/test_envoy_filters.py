from __future__ import annotations

import pytest
from tests.unit.analysis.marked import check

ANALYZER = "envoyfilter.EnvoyPatchAnalyzer"
CASE = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: case}
spec:
  priority: %s
  configPatches:
  - applyTo: %s
    patch: {value: {name: lua}, operation: %s}%s
"""


@pytest.mark.parametrize(
    ("priority", "target", "operation", "code"),
    [
        (0, "HTTP_FILTER", "INSERT_FIRST", ""),
        (0, "HTTP_FILTER", "INSERT_BEFORE", "IST0151"),
        (0, "HTTP_FILTER", "INSERT_AFTER", "IST0151"),
        (0, "NETWORK_FILTER", "REPLACE", "IST0151"),
        (0, "CLUSTER", "REMOVE", "IST0151"),
        (10, "HTTP_FILTER", "INSERT_BEFORE", ""),
        (10, "CLUSTER", "REPLACE", "IST0152"),
        (0, "HTTP_ROUTE", "ADD", "IST0153"),
        (0, "ROUTE_CONFIGURATION", "REMOVE", "IST0154"),
        (0, "CLUSTER", "ADD", ""),
        (0, "CLUSTER", "MERGE", ""),
    ],
)
def test_operations(priority: int, target: str, operation: str, code: str) -> None:
    mark = f"  #! {code} EnvoyFilter default/case" if code else ""
    check(ANALYZER, CASE % (priority, target, operation, mark))


def test_a_version_makes_the_order_worse() -> None:
    check(
        ANALYZER,
        """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: case}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {proxy: {proxyVersion: '1\\.2.*'}}
    patch: {operation: INSERT_BEFORE, value: {name: lua}}  #! IST0151 EnvoyFilter default/case
  - applyTo: HTTP_FILTER
    patch: {operation: INSERT_BEFORE, value: {name: lua}}  #! IST0155 EnvoyFilter default/case
""",
    )
