"""What is said of policies that do not suit what ports speak."""

from __future__ import annotations

from tests.support.worlds import read
from tests.support.written import destination_rule, service, workload

from mizzen.resources.problems import Level
from mizzen.resources.references import check_references


def test_nobody_upgrades_what_a_port_does_not_declare() -> None:
    rule = destination_rule("odd", trafficPolicy={"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}})
    found = check_references(read(service("odd", ("odd", 7000), ("http", 80)), workload("odd"), rule))
    (one,) = [problem for problem in found if problem.code == "NotUpgraded"]
    assert one.level is Level.WARNING
    assert str(one).startswith(
        "test-2.yaml:12:26: warning: DestinationRule default/odd: spec.trafficPolicy.connectionPool"
    )
    assert "port 7000 of Service default/odd declares no protocol: its requests are passed on as they came" in str(one)
    assert not [one for one in check_references(read(service("odd"), rule)) if one.code == "NotUpgraded"]
