from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.support.worlds import read, snapshot_of
from tests.support.written import destination_rule, mesh_config, service, to, virtual_service, workload

from mizzen.mesh.model import Snapshot
from mizzen.mesh.rerouting import Rerouting, only_routes_differ
from mizzen.mesh.scope import scope_of
from mizzen.resources.resource import Resource

NAMESPACE = "default"
WORLD = (
    service("reviews"),
    service("ratings"),
    workload("client"),
    destination_rule("ratings", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}),
    virtual_service("reviews", to("reviews")),
    virtual_service("ratings", to("ratings")),
    virtual_service("wild", to("reviews"), hosts=["*.example.com"]),
    virtual_service("literal", to("reviews"), hosts=["api.example.com", "ratings"]),
    virtual_service("part", to("ratings"), hosts=[]),
    virtual_service("root", {"match": [{"uri": {"prefix": "/"}}], "delegate": {"name": "part"}}, hosts=["a.b"]),
)


def after(before: Snapshot, *texts: str) -> Snapshot:
    """Returns a snapshot in which resources say something else, and are as old as before; what runs is the same."""
    new = {one.key: one for one in read(*texts)}

    def replaced(rules: tuple[Resource[Any], ...]) -> tuple[Resource[Any], ...]:
        return tuple(new[one.key].stamped(one.created) if one.key in new else one for one in rules)

    return dataclasses.replace(
        before,
        virtual_services=replaced(before.virtual_services),
        destination_rules=replaced(before.destination_rules),
    )


@pytest.mark.parametrize(
    "changed",
    [
        virtual_service("reviews", to("ratings")),
        virtual_service("wild", to("ratings"), hosts=["*.example.com"]),
        virtual_service("literal", to("ratings"), hosts=["api.example.com", "ratings"]),
    ],
)
def test_other_routes_for_the_same_hosts(changed: str) -> None:
    before = snapshot_of(read(*WORLD))
    earlier = scope_of(before, NAMESPACE)
    now = after(before, changed)
    made = Rerouting(before, now).rerouted(earlier)
    assert made is not None
    assert made == scope_of(now, NAMESPACE) != earlier
    assert only_routes_differ(made, earlier)
    others = [(a, b) for a, b in zip(made.services, earlier.services, strict=True) if a == b]
    assert others
    assert all(a is b for a, b in others)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(virtual_service("reviews", to("ratings"), hosts=["ratings"]), id="hosts"),
        pytest.param(virtual_service("reviews", to("ratings"), exportTo=["."]), id="who sees it"),
        pytest.param(virtual_service("reviews", to("ratings"), gateways=["mesh"]), id="gateways"),
        pytest.param(virtual_service("reviews", {"match": [{"port": 80}], **to("ratings")}), id="port 80"),
        pytest.param(virtual_service("part", to("reviews"), hosts=[]), id="a delegate"),
        pytest.param(
            virtual_service(
                "root", {"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "part"}}, hosts=["a.b"]
            ),
            id="one that delegates",
        ),
        pytest.param(
            destination_rule("ratings", trafficPolicy={"loadBalancer": {"simple": "ROUND_ROBIN"}}), id="policy"
        ),
    ],
)
def test_whatever_else_changes_is_looked_at_in_full(changed: str) -> None:
    before = snapshot_of(read(*WORLD))
    assert Rerouting(before, after(before, changed)).rerouted(scope_of(before, NAMESPACE)) is None


def test_more_or_fewer_of_anything_is_looked_at_in_full() -> None:
    before = snapshot_of(read(*WORLD))
    earlier = scope_of(before, NAMESPACE)
    fewer = dataclasses.replace(before, virtual_services=before.virtual_services[1:])
    assert Rerouting(before, fewer).rerouted(earlier) is None
    others = dataclasses.replace(before, services=dict(before.services))
    assert Rerouting(before, others).rerouted(earlier) is None
    assert Rerouting(before, dataclasses.replace(before, registry_only=True)).rerouted(earlier) is None


def test_nothing_has_changed() -> None:
    before = snapshot_of(read(*WORLD))
    earlier = scope_of(before, NAMESPACE)
    assert Rerouting(before, before).rerouted(earlier) == earlier


def test_under_another_mesh_config_more_than_routes_may_differ() -> None:
    before = snapshot_of(read(service("reviews"), mesh_config(connectTimeout="2s")))
    (other,) = read(mesh_config(connectTimeout="3s"))
    now = dataclasses.replace(before, mesh_config=other)
    assert not only_routes_differ(scope_of(now, NAMESPACE), scope_of(before, NAMESPACE))
