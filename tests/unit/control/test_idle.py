from __future__ import annotations

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import envoy_filter, patch, proxy_config, workload

from mizzen.control.idle import idle_settings

BOOTSTRAP = envoy_filter("it", patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}))
ELSEWHERE = envoy_filter("it", patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s"}, context="GATEWAY"))
STARTS_NONE = "no proxy is started with it: it is for no Workload with a proxy of its own, or an older one counts"


@pytest.mark.parametrize(
    ("text", "capture", "expected"),
    [
        (proxy_config("it", concurrency=1), "explicit", []),
        (proxy_config("it", concurrency=1), "node", [STARTS_NONE]),
        (proxy_config("it", namespace="other", concurrency=1), "explicit", [STARTS_NONE]),
        (proxy_config("it", concurrency=1) + proxy_config("older", concurrency=2), "explicit", [STARTS_NONE]),
        (BOOTSTRAP, "explicit", []),
        (BOOTSTRAP, "node", ["this patch changes nothing: no proxy is started with it"]),
        (ELSEWHERE, "explicit", ["this patch changes nothing: no proxy is started with it"]),
    ],
)
def test_what_starts_nothing_is_told(text: str, capture: str, expected: list[str]) -> None:
    resources = read(workload("shop"), text)
    found = idle_settings(snapshot_of(resources, capture), {one.key for one in resources})
    assert [one.message for one in found] == expected


def test_a_proxy_that_nobody_wrote_a_workload_for_starts_as_ever() -> None:
    resources = read(workload("shop"), proxy_config("it", concurrency=1))
    assert [one.code for one in idle_settings(snapshot_of(resources), ())] == ["StartsNothing"]
