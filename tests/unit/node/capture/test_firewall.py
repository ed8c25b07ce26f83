from typing import Any

from mizzen.node.capture.firewall import Chain, dropping_chains, removals

CHAINS: list[dict[str, Any]] = [
    {"metainfo": {"json_schema_version": 1}},
    {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER"}},
    {"chain": {"family": "ip6", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "inet", "table": "fw", "name": "forward", "hook": "forward", "policy": "drop"}},
    {"chain": {"family": "inet", "table": "open", "name": "forward", "hook": "forward", "policy": "accept"}},
    {"chain": {"family": "bridge", "table": "b", "name": "forward", "hook": "forward", "policy": "drop"}},
]


def test_only_chains_that_drop_what_is_forwarded_need_an_exception() -> None:
    assert dropping_chains(CHAINS) == [Chain("ip", "filter", "FORWARD"), Chain("inet", "fw", "forward")]


def test_only_our_own_rules_are_removed() -> None:
    rule: dict[str, Any] = {"family": "ip", "table": "filter", "chain": "FORWARD"}
    objects: list[dict[str, Any]] = [
        {"rule": rule | {"handle": 4, "comment": "mizzen-a"}},
        {"rule": rule | {"handle": 5, "comment": "mizzen-b"}},
        {"rule": rule | {"handle": 6}},
        {"rule": rule | {"handle": 7, "comment": "mizzen-a"}},
    ]
    assert removals(objects, "mizzen-a") == (
        "delete rule ip filter FORWARD handle 4\ndelete rule ip filter FORWARD handle 7\n"
    )
    assert removals(objects, "mizzen-c") == ""
