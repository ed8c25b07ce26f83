from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from mizzen.registry.container_services import Found, Survey, survey
from mizzen.registry.containers import Container, ContainerNetwork, Described, Excluded
from mizzen.registry.reports import FoundPort, FoundService


def container(name: str, *aliases: str, network: str = "shop", **changes: Any) -> Container:
    id_ = hashlib.sha256(name.encode()).hexdigest()
    labels = changes.pop("labels", {})
    if project := changes.pop("project", ""):
        labels = labels | {"com.docker.compose.project": project}
    if service := changes.pop("service", ""):
        labels = labels | {"com.docker.compose.service": service}
    address = "10.89.0.2" if changes.get("state", "running") == "running" else ""
    given = {
        "id": id_,
        "labels": labels,
        "networks": (ContainerNetwork(network, address, "", 24, aliases),),
        "exposed": (9080,),
    }
    return Container(**given | {"name": name} | changes)


def found(*containers: Container) -> Found:
    return survey(containers).found


def services(*containers: Container) -> dict[str, FoundService]:
    return {service.name: service for service in found(*containers).services}


def outside(made: Survey) -> dict[str, str]:
    return {one.container.name: one.reason for one in made.containers.values() if isinstance(one, Excluded)}


def mizzen(**given: str) -> dict[str, str]:
    return {f"mizzen.dev/{name.replace('_', '-')}": value for name, value in given.items()}


def test_nothing() -> None:
    assert survey([]) == Survey({}, Found((), {}))


def test_versions_of_an_app() -> None:
    made = services(
        container("shop-reviews-v1-1", "reviews", service="reviews-v1", project="shop"),
        container("shop-reviews-v2-1", "reviews", service="reviews-v2", project="shop"),
        container("shop-reviews-v2-2", "reviews", service="reviews-v2", project="shop"),
    )
    assert list(made) == [
        "reviews",
        "reviews-v1",
        "reviews-v2",
        "shop-reviews-v1-1",
        "shop-reviews-v2-1",
        "shop-reviews-v2-2",
    ]
    assert made["reviews"] == FoundService(
        name="reviews",
        namespace="default",
        ports=(FoundPort(number=9080, name="http-9080", app_protocol="http"),),
        selector={"service.mizzen.dev/reviews": "true"},
        accounts=("reviews-v1", "reviews-v2"),
    )
    assert made["shop-reviews-v2-2"].accounts == ("reviews-v2",)


def test_a_selector_picks_exactly_the_members() -> None:
    made = survey([container("a", "x"), container("b", "x"), container("c")])
    stands = [one for one in made.containers.values() if isinstance(one, Described)]
    picked = {
        service.name: {one.name for one in stands if service.selector.items() <= one.labels.items()}
        for service in made.found.services
    }
    assert picked == {"a": {"a"}, "b": {"b"}, "c": {"c"}, "x": {"a", "b"}}


def test_what_does_not_run_keeps_services_and_identities() -> None:
    before = found(container("a", "x"), container("b", "x", exposed=(1,)))
    assert found(container("a", "x", state="exited"), container("b", "x", exposed=(1,), state="created")) == before


def test_ports_are_united() -> None:
    made = services(container("a", "x", exposed=(80, 1)), container("b", "x", exposed=(2,), published=(3,)))
    assert [(port.number, port.app_protocol) for port in made["x"].ports] == [
        (1, "tcp"),
        (2, "tcp"),
        (3, "tcp"),
        (80, "http"),
    ]


def test_a_service_without_a_port_is_none() -> None:
    assert found(container("a", exposed=())) == Found((), {})


def test_where_containers_disagree_on_a_protocol_bytes_are_passed_and_it_is_told() -> None:
    made = found(
        container("b", "x", labels=mizzen(ports="9080/grpc")),
        container("a", "x"),
        container("c", "x", labels=mizzen(ports="9080/http")),
    )
    assert next(one for one in made.services if one.name == "x").ports == (
        FoundPort(number=9080, name="tcp-9080", app_protocol="tcp"),
    )
    (clash,) = made.clashes
    assert clash.text.startswith("service x: port 9080 is grpc in container b and http in container ")
    assert clash.text.endswith("; it is tcp until their labels agree")
    assert len(clash.containers) == 3
    assert all(made.clashes_of(one) == (clash.text,) for one in clash.containers)


@pytest.mark.parametrize("name", ["my_db", "my.db"])
def test_names_that_dns_has_and_the_mesh_has_not(name: str) -> None:
    made = found(container("one", name))
    service = next(one for one in made.services if one.name == "my-db")
    assert service.selector == {f"service.mizzen.dev/{name}": "true"}
    assert made.aliases == {("default", "my-db"): (name,)}


def test_capitals_make_no_other_name() -> None:
    made = found(container("One", "My-DB"))
    assert [one.name for one in made.services] == ["my-db", "one"]
    assert made.aliases == {}


def test_two_spellings_of_the_same_containers_are_one_service() -> None:
    made = found(container("one", "my_db", "my-db", "my.db"))
    assert made.aliases == {("default", "my-db"): ("my.db", "my_db")}
    assert made.clashes == ()


def test_two_spellings_of_different_containers_stay_apart() -> None:
    one, two = container("one", "my_db"), container("two", "my-db")
    made = found(one, two)
    service = next(one for one in made.services if one.name == "my-db")
    assert service.selector == {"service.mizzen.dev/my-db": "true"}
    assert service.accounts == ("two",)
    assert made.aliases == {}
    (clash,) = made.clashes_of(one.id)
    assert clash == (
        "container one: the mesh does not know it as my_db, since in the mesh that would be my-db, which is container two;"
        " rename one"
    )
    assert made.clashes_of(two.id) == ()


def test_names_too_long_for_dns_are_no_services() -> None:
    assert [one.name for one in found(container("one", "a" * 64, "-")).services] == ["one"]


def test_namespaces_are_apart() -> None:
    made = found(container("one", "db"), container("two", "db", labels=mizzen(namespace="far")))
    assert [(one.namespace, one.name, one.accounts) for one in made.services if one.name == "db"] == [
        ("default", "db", ("one",)),
        ("far", "db", ("two",)),
    ]


def test_an_instance_keeps_its_name_against_a_younger_one() -> None:
    made = survey([container("web_1", created=1.0), container("web-1", created=2.0)])
    reason = "its name in the mesh would be web-1, which is that of container web_1; rename one"
    assert outside(made) == {"web-1": reason}
    assert made.problems == (f"container web-1 stays outside the mesh: {reason}",)
    assert {one.selector["service.mizzen.dev/web_1"] for one in made.found.services} == {"true"}


def test_what_runs_has_a_name_before_what_does_not() -> None:
    made = survey([container("web_1", created=1.0, state="exited"), container("web-1", created=2.0)])
    assert list(outside(made)) == ["web_1"]
    assert made.problems == ()


def test_the_same_name_in_two_namespaces() -> None:
    assert not outside(survey([container("web_1"), container("web-1", labels=mizzen(namespace="far"))]))


def two_projects(**changes: Any) -> list[Container]:
    return [
        container("a-web-1", "web", service="web", project="a", network="a_default", created=1.0),
        container("a-db-1", "db", service="db", project="a", network="a_default", created=4.0),
        container("b-db-1", "db", service="db", project="b", network="b_default", created=2.0, **changes),
        container("b-job-1", "job", service="job", project="b", network="b_default", created=3.0),
    ]


def test_a_name_that_two_projects_have_keeps_the_younger_outside_as_a_whole() -> None:
    made = survey(two_projects())
    reason = (
        "project b has a db on networks of its own, and in namespace default that name is container a-db-1's;"
        " give one of them the label mizzen.dev/namespace, or attach only one"
    )
    assert outside(made) == {"b-db-1": reason, "b-job-1": reason}
    assert made.problems == tuple(
        f"container {name} stays outside the mesh: {reason}" for name in ("b-db-1", "b-job-1")
    )
    assert [one.name for one in made.found.services] == ["a-db-1", "a-web-1", "db", "web"]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": mizzen(namespace="b")},
        {"labels": mizzen(service="db")},
        {"networks": (ContainerNetwork("b_default", "10.0.0.1"), ContainerNetwork("a_default", "10.0.0.2"))},
    ],
)
def test_projects_may_share_a_name_on_purpose(changes: dict[str, Any]) -> None:
    containers = two_projects()
    aliases = () if "labels" in changes else ("db",)
    containers[2] = container("b-db-1", *aliases, project="b", network="b_default", created=2.0, **changes)
    assert outside(survey(containers)) == {}


def test_a_container_beside_compose_joins_by_the_network() -> None:
    containers = [
        container("a-db-1", "db", service="db", project="a", created=1.0),
        container("db-canary", "db", created=2.0),
    ]
    assert outside(survey(containers)) == {}
    containers[1] = container("db-canary", "db", created=2.0, network="elsewhere")
    made = survey(containers)
    assert list(outside(made)) == ["db-canary"]
    assert made.problems[0].startswith(
        "container db-canary stays outside the mesh: it is a db on networks of its own, and"
    )


def test_a_project_that_does_not_run_keeps_nobody_outside() -> None:
    old = [
        container("old-db-1", "db", service="db", project="old", network="old", created=1.0, state="exited"),
        container("old-x-1", "x", service="x", project="old", network="old", created=1.0, state="exited"),
    ]
    made = survey([*old, *two_projects()[:2]])
    assert set(outside(made)) == {"old-db-1", "old-x-1"}
    assert made.problems == ()


def test_who_was_asked_into_the_mesh_has_a_name_before_all_others() -> None:
    containers = two_projects()
    made = survey(containers, {containers[2].id})
    assert set(outside(made)) == {"a-web-1", "a-db-1"}
    older = [container("web_1", created=1.0), container("web-1", created=2.0, state="exited")]
    assert list(outside(survey(older, {older[1].id}))) == ["web_1"]


def test_mistakes_in_labels_are_told_and_make_no_service() -> None:
    made = survey([container("a", labels=mizzen(protocol="x")), container("b", labels=mizzen(mesh="false"))])
    assert set(outside(made)) == {"a", "b"}
    assert [problem.partition(":")[0] for problem in made.problems] == ["container a"]
    assert made.found.services == ()


def test_the_order_of_containers_makes_no_difference() -> None:
    containers = [
        *two_projects(),
        container("web_1", "x", created=5.0, labels=mizzen(ports="9080/grpc")),
        container("web-1", "x", created=5.0),
        container("one", "my_db"),
        container("two", "my-db", "x"),
    ]
    made = survey(containers)
    for _ in range(20):
        random.shuffle(containers)
        assert survey(containers) == made
