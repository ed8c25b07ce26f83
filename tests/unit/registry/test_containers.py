from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.containers import (
    Container,
    ContainerNetwork,
    Described,
    Excluded,
    describe,
    dns_label,
    has_opted_in,
    matches,
)
from mizzen.registry.reports import InstancePort
from mizzen.resources.validation.names import is_dns_label, labels

ID = "0ba0a328ce12722c12c6f8794569344c3740125537448ab4e4e5cb43671e9cff"


def container(name: str = "web", **changes: Any) -> Container:
    aliases = changes.pop("aliases", ())
    networks = (ContainerNetwork("shop", "10.89.0.2", "10.89.0.1", 24, (*aliases, ID[:12])),)
    given: dict[str, Any] = {"id": ID, "name": name, "pid": 7, "netns": "/run/netns/x", "networks": networks}
    return Container(**given | changes)


def described(one: Container) -> Described:
    stand = describe(one)
    assert isinstance(stand, Described), stand
    return stand


def compose(service: str, project: str = "shop") -> dict[str, str]:
    return {"com.docker.compose.service": service, "com.docker.compose.project": project}


def mizzen(**given: str) -> dict[str, str]:
    return {f"mizzen.dev/{name.replace('_', '-')}": value for name, value in given.items()}


def test_a_plain_container() -> None:
    one = container(exposed=(8080,), labels={"team": "a"})
    assert describe(one) == Described(
        container=one,
        name="web",
        namespace="default",
        workload="web",
        service_account="web",
        services=("web",),
        labels={"app": "web", "team": "a", "service.mizzen.dev/web": "true"},
        ports=(InstancePort(number=8080, application=8080, inbound=8080, name="http-8080", app_protocol="http"),),
        address="10.89.0.2",
        networks=("10.89.0.0/24",),
        gateways=("10.89.0.1",),
        ready=True,
    )


def test_a_container_of_compose() -> None:
    one = described(container("shop-reviews-v1-1", labels=compose("reviews-v1"), aliases=("reviews", "reviews-v1")))
    assert (one.name, one.workload, one.service_account) == ("shop-reviews-v1-1", "reviews-v1", "reviews-v1")
    assert one.services == ("reviews-v1", "shop-reviews-v1-1", "reviews")
    assert one.labels == compose("reviews-v1") | {
        "app": "reviews",
        "version": "v1",
        "service.mizzen.dev/reviews": "true",
        "service.mizzen.dev/reviews-v1": "true",
        "service.mizzen.dev/shop-reviews-v1-1": "true",
    }


@pytest.mark.parametrize(
    ("own", "aliases", "app", "version"),
    [
        ("web", (), "web", None),
        ("web", ("www",), "web", None),
        ("web-v1", (), "web-v1", None),
        ("web-v1", ("web",), "web", "v1"),
        ("web_v1", ("web",), "web", "v1"),
        ("webv1", ("web",), "webv1", None),
        ("web-", ("web",), "web", None),
        ("web-v1-", ("web",), "web-v1", None),
        ("web-front-v1", ("web", "web-front"), "web-front", "v1"),
        ("Web-V1", ("WEB",), "web", "v1"),
    ],
)
def test_app_and_version(own: str, aliases: tuple[str, ...], app: str, version: str | None) -> None:
    one = described(container(own, aliases=aliases))
    assert (one.labels["app"], one.labels.get("version")) == (app, version)


def test_what_a_container_says_itself_counts_more() -> None:
    own = {"app": "mine", "version": "mine"}
    assert described(container("web-v1", aliases=("web",), labels=own)).labels.items() >= own.items()
    told = described(container("web-v1", aliases=("web",), labels=own | mizzen(version="told")))
    assert (told.labels["app"], told.labels["version"]) == ("mine", "told")


def test_labels_that_no_selector_can_name_are_left_out() -> None:
    given = {"org.opencontainers.image.title": "two words", "a b": "c", "ok": "", "x/y/z": "1"}
    assert described(container(labels=given)).labels == {"app": "web", "ok": "", "service.mizzen.dev/web": "true"}


def test_mizzens_labels() -> None:
    given = mizzen(service="db", namespace="shop", service_account="reader", proxy="node", protocol="grpc")
    one = described(container("x_1", labels=given | compose("other"), exposed=(1,)))
    assert (one.workload, one.namespace, one.service_account, one.proxy) == ("db", "shop", "reader", "node")
    assert (one.services, one.is_named, one.ports[0].app_protocol) == (("db", "x_1"), True, "grpc")


@pytest.mark.parametrize(
    ("given", "exposed", "published", "ports"),
    [
        ({}, (), (), []),
        ({}, (3306, 80), (), [(80, "http", False), (3306, "tcp", False)]),
        ({}, (80,), (80,), [(80, "http", True)]),
        ({}, (), (5432,), [(5432, "tcp", True)]),
        (mizzen(ports="9090/grpc"), (80,), (), [(9090, "grpc", False)]),
        (mizzen(ports="9090/grpc"), (80,), (80,), [(80, "http", True), (9090, "grpc", False)]),
    ],
)
def test_ports(given: dict[str, str], exposed: Any, published: Any, ports: list[tuple[int, str, bool]]) -> None:
    one = described(container(labels=given, exposed=exposed, published=published))
    assert [(port.number, port.app_protocol, port.published) for port in one.ports] == ports
    assert all(port.number == port.application == port.inbound for port in one.ports)
    assert all(port.name == f"{port.app_protocol}-{port.number}" for port in one.ports)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"health": "healthy"}, ""),
        ({"health": "starting"}, "its health check has not passed (starting)"),
        ({"health": "unhealthy"}, "its health check has not passed (unhealthy)"),
        ({"state": "paused", "health": "healthy"}, "it is paused"),
        ({"state": "created"}, "it does not run (created)"),
        ({"state": "exited", "networks": (ContainerNetwork("shop"),)}, "it does not run (exited)"),
        ({"state": "restarting", "networks": ()}, "it does not run (restarting)"),
        ({"state": "stopping"}, "it does not run (stopping)"),
    ],
)
def test_ready(changes: dict[str, Any], reason: str) -> None:
    one = described(container(**changes))
    assert (one.ready, one.reason) == (not reason, reason)


def test_several_networks() -> None:
    networks = (
        ContainerNetwork("a"),
        ContainerNetwork("b", "10.1.2.3", "", 16),
        ContainerNetwork("c", "10.2.0.9", "10.2.0.1", 29, ("also",)),
    )
    one = described(container(networks=networks))
    assert (one.address, one.networks, one.gateways) == ("10.1.2.3", ("10.1.0.0/16", "10.2.0.8/29"), ("10.2.0.1",))
    assert one.services == ("web", "also")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": mizzen(mesh="false")}, "its label mizzen.dev/mesh is false"),
        ({"network_mode": "host"}, "it is in the host's network"),
        ({"network_mode": f"container:{ID}"}, "it shares the network of container 0ba0a328ce12,"),
        ({"name": "3d4f36ae1188-infra"}, "it holds the network of a pod"),
        ({"network_mode": "none", "networks": ()}, "it has no network"),
        ({"network_mode": "pasta", "networks": ()}, "it has no IPv4 address that others reach (its network mode is pasta)"),
        ({"networks": (ContainerNetwork("six"),)}, "it has no IPv4 address that others reach (its network mode is unknown)"),
    ],
)  # fmt: skip
def test_outside_the_mesh(changes: dict[str, Any], reason: str) -> None:
    stand = describe(container(**changes))
    assert isinstance(stand, Excluded)
    assert stand.reason.startswith(reason)
    assert stand.problems == ()


def test_a_mistake_in_a_label_keeps_it_outside_and_is_told() -> None:
    stand = describe(container(labels=mizzen(protocol="htp", mesh="true")))
    assert isinstance(stand, Excluded)
    (problem,) = stand.problems
    assert problem.startswith("container web: label mizzen.dev/protocol: 'htp' is not allowed; use http,")
    assert stand.reason == f"its labels have a mistake; create it again with the right ones: {problem}"


@pytest.mark.parametrize(
    ("target", "given", "matched"),
    [
        ("*", {}, True),
        ("shop", compose("web"), True),
        ("shop", {"io.podman.compose.project": "shop"}, True),
        ("other", compose("web"), False),
        ("my_web", {}, True),
        ("my-web", {}, True),
        ("web", {}, False),
        ("my", {}, False),
        (ID, {}, True),
        (ID[:12], {}, True),
        (ID[:4], {}, True),
        (ID[:3], {}, False),
        (ID[1:], {}, False),
        ("", {}, False),
        ("*", mizzen(mesh="false"), False),
        ("shop", compose("web") | mizzen(mesh="false"), False),
        ("my_web", mizzen(mesh="false"), False),
        ("other", mizzen(mesh="true"), False),
        ("*", mizzen(mesh="true"), True),
        ("*", mizzen(mesh="perhaps"), True),
    ],
)
def test_which_containers_a_target_means(target: str, given: Mapping[str, str], matched: bool) -> None:
    assert matches(target, container("my_web", labels=given)) is matched


@pytest.mark.parametrize(("text", "opted_in"), [("true", True), ("false", False), ("perhaps", False)])
def test_opting_in(text: str, opted_in: bool) -> None:
    assert has_opted_in(container(labels=mizzen(mesh=text))) is opted_in
    assert not has_opted_in(container())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("web", "web"),
        ("web-1", "web-1"),
        ("shop_web_1", "shop-web-1"),
        ("Web.Shop", "web-shop"),
        ("_web_", "web"),
        ("a" * 63, "a" * 63),
        ("a" * 64, "a" * 54 + "-ffe054fe"),
        ("___", "bda25155"),
    ],
)
def test_names_in_the_mesh(name: str, label: str) -> None:
    assert dns_label(name) == label


@given(st.text())
def test_every_name_has_one_in_the_mesh(name: str) -> None:
    assert is_dns_label(dns_label(name))
    assert dns_label(dns_label(name)) == dns_label(name)


names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,80}", fullmatch=True)


@given(names, st.lists(st.text(max_size=80), max_size=3))
def test_whatever_engines_call_a_container_it_can_be_described(name: str, aliases: list[str]) -> None:
    one = described(container(name, aliases=tuple(aliases)))
    assert is_dns_label(one.name)
    assert is_dns_label(one.workload)
    assert SpiffeId("cluster.local", one.namespace, one.service_account)
    assert not any(labels("", one.labels))
