from __future__ import annotations

from typing import Any

import pytest
from tests.support.written import proxy_config

from mizzen.resources.loading import load

VARIABLES = "spec.environmentVariables"
TOLD_BY = "by {} the control plane knows a proxy: it would get no configuration"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"concurrency": 0, "environmentVariables": {"A": "b"}}, []),
        ({"concurrency": -1}, ["error: spec.concurrency: concurrency must be greater than or equal to 0"]),
        ({"selector": {}}, ["warning: spec.selector: workload selector specified without labels"]),
        (
            {"selector": {"matchLabels": {"": "a"}}},
            ["error: spec.selector.matchLabels[]: empty key is not supported in selector"],
        ),
        (
            {"selector": {"matchLabels": {"app": "*"}}},
            ["error: spec.selector.matchLabels.app: wildcard is not supported in selector"],
        ),
        ({"environmentVariables": {"ISTIO_META_HTTP10": "1"}}, []),
        (
            {"environmentVariables": {"ISTIO_META_HTTP10": "true"}},
            [f"warning: {VARIABLES}.ISTIO_META_HTTP10: 'true' does not have proxies take HTTP/1.0, in Istio neither"],
        ),
        (
            {"environmentVariables": {"A=": "b"}},
            ["error: spec.environmentVariables[A=]: 'A=' is no name of a variable"],
        ),
        (
            {"environmentVariables": {"ISTIO_META_UID": "1", "ISTIO_META_TEAM": "a", "UID": "1"}},
            [f"error: {VARIABLES}.ISTIO_META_UID: {TOLD_BY.format('UID')}"],
        ),
        (
            {"environmentVariables": {"ISTIO_META_GENERATOR": "grpc", "ISTIO_META_NAME": "a"}},
            [
                f"error: {VARIABLES}.ISTIO_META_GENERATOR: {TOLD_BY.format('GENERATOR')}",
                f"warning: {VARIABLES}.ISTIO_META_NAME: it has no effect: NAME is what Mizzen itself says of a proxy",
            ],
        ),
        (
            {"image": {"imageType": "debug"}},
            [
                "error: spec.image: `image` is part of Istio's API but not implemented yet in this version of Mizzen",
            ],
        ),
    ],
)
def test_istios_rules(spec: dict[str, Any], expected: list[str]) -> None:
    found = load(proxy_config("it", **spec), "f").problems
    assert [f"{one.level}: {one.path}: {one.message}" for one in found] == expected
