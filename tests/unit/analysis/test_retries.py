from __future__ import annotations

import pytest
from tests.unit.analysis.marked import check

CASE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay}
spec:
  hosts: [pay]
  http:
  - route: [{destination: {host: pay}}]
    match: %s
    retries: {attempts: %s, retryOn: "%s"}%s
"""
UNSAFE = "  #! MZN0004 VirtualService default/pay"
ANY = "[]"
READ = "[{method: {exact: GET}}, {method: {regex: 'PUT|HEAD'}}]"
MIXED = "[{method: {exact: GET}}, {uri: {prefix: /}}]"
POST = "[{method: {exact: POST}}]"


@pytest.mark.parametrize(
    ("match", "attempts", "conditions", "mark"),
    [
        (ANY, 2, "5xx", UNSAFE),
        (ANY, 2, "connect-failure,reset", UNSAFE),
        (ANY, 2, "gateway-error", UNSAFE),
        (ANY, 2, "retriable-status-codes", UNSAFE),
        (ANY, 2, "refused-stream,503", UNSAFE),
        (ANY, 2, "unavailable", UNSAFE),
        (MIXED, 2, "5xx", UNSAFE),
        (POST, 2, "5xx", UNSAFE),
        (READ, 2, "5xx,reset", ""),
        (ANY, 0, "5xx", ""),
        (ANY, 2, "connect-failure,refused-stream,reset-before-request", ""),
        (ANY, 2, "", ""),
        (ANY, 2, "404", ""),
    ],
)
def test_a_policy_that_can_repeat_what_was_acted_on(match: str, attempts: int, conditions: str, mark: str) -> None:
    check("mizzen.RetryAnalyzer", CASE % (match, attempts, conditions, mark))
