"""What is said of TLS that servers would not take."""

from __future__ import annotations

import pytest
from tests.support.worlds import read
from tests.support.written import destination_rule, gateway_workload, service, workload

from mizzen.resources.references import check_references


@pytest.mark.parametrize(
    ("policy", "paths"),
    [
        ({"tls": {"mode": "ISTIO_MUTUAL"}}, []),
        ({"tls": {"mode": "DISABLE"}}, ["spec.trafficPolicy.tls"]),
        (
            {"portLevelSettings": [{"port": {"number": 9080}, "tls": {"mode": "SIMPLE"}}]},
            ["spec.trafficPolicy.portLevelSettings[0].tls"],
        ),
    ],
)
def test_members_of_the_mesh_take_only_its_own_tls(policy: dict[str, object], paths: list[str]) -> None:
    rule = destination_rule("shop", trafficPolicy=policy)
    found = check_references(read(service("shop"), workload("shop"), rule))
    assert [(one.code, one.path) for one in found] == [("PeersWantMutualTLS", path) for path in paths]


def test_of_a_service_without_workloads_nothing_is_said() -> None:
    rule = destination_rule("shop", trafficPolicy={"tls": {"mode": "DISABLE"}})
    assert "PeersWantMutualTLS" not in {one.code for one in check_references(read(service("shop"), rule))}


def test_what_a_gateway_takes_its_servers_say() -> None:
    rule = destination_rule("way", trafficPolicy={"tls": {"mode": "SIMPLE"}})
    way = service("way", selector={"istio": "ingressgateway"})
    assert "PeersWantMutualTLS" not in {one.code for one in check_references(read(way, gateway_workload(), rule))}
