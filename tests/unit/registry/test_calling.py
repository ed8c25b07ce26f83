from __future__ import annotations

import pytest

from mizzen.registry.calling import called, excluded
from mizzen.registry.reports import ContainerState, Instance


def instance(name: str, workload: str = "", namespace: str = "default") -> Instance:
    return Instance(name=name, namespace=namespace, workload=workload or name, digest="d", phase="Running")


def container(name: str, instance: str) -> ContainerState:
    return ContainerState(
        id=name, name=name, state="Attached", instance=instance, namespace="default" if instance else ""
    )


INSTANCES = [
    instance("web-0", "web"),
    instance("web-1", "web"),
    instance("web-0", "web", "shop"),
    instance("web-0-0", "web-0"),
    instance("shop-db-1", "db"),
    instance("my-cache"),
]
CONTAINERS = [container("shop_db_1", "shop-db-1"), container("my_cache", "my-cache")]


@pytest.mark.parametrize(
    ("name", "namespace", "found"),
    [
        ("web-0", "default", ["web-0.default"]),
        ("web-0", "", ["web-0.default", "web-0.shop"]),
        ("web-0", "shop", ["web-0.shop"]),
        ("web-0.shop", "default", ["web-0.shop"]),
        ("web", "default", ["web-0.default", "web-1.default"]),
        ("web.shop", "default", ["web-0.shop"]),
        ("shop_db_1", "default", ["shop-db-1.default"]),
        ("shop_db_1", "shop", []),
        ("shop-db-1", "default", ["shop-db-1.default"]),
        ("db", "", ["shop-db-1.default"]),
        ("my_cache", "", ["my-cache.default"]),
        ("nothing", "", []),
        ("", "", []),
    ],
)
def test_a_name_means_the_most_exact_that_it_can(name: str, namespace: str, found: list[str]) -> None:
    made = called(name, namespace, INSTANCES, CONTAINERS)
    assert [f"{one.name}.{one.namespace}" for one in made] == found


def test_a_container_never_stands_for_another_with_nearly_its_name() -> None:
    containers = [container("web-1", ""), container("web_1", "web-1")]
    instances = [instance("web-1")]
    assert called("web_1", "default", instances, containers) == instances
    assert called("web-1", "default", instances, containers) == []
    assert excluded("web-1", containers) is containers[0]
    assert excluded("web_1", containers) is None
    assert called("web-1", "default", instances, containers[1:]) == instances
