from __future__ import annotations

import pytest

from mizzen.registry.containers import Container, ContainerNetwork
from mizzen.registry.membership import Decision, Membership, decide, run_of
from mizzen.registry.reports import Attachment

ID = "0123456789abcdef" * 4
PROJECT = {"com.docker.compose.project": "shop"}
IN, OUT = {"mizzen.dev/mesh": "true"}, {"mizzen.dev/mesh": "false"}


def container(name: str = "web", pid: int = 7, labels: dict[str, str] | None = None) -> Container:
    networks = (ContainerNetwork("net", "10.89.0.2", "10.89.0.1", 24),)
    return Container(ID, name, labels=PROJECT if labels is None else labels, pid=pid, networks=networks)


def attachments(proxies: dict[str, str]) -> tuple[Attachment, ...]:
    return tuple(Attachment(target=target, proxy=proxy) for target, proxy in proxies.items())


@pytest.mark.parametrize(
    ("attached", "labels", "proxy", "by"),
    [
        ({}, PROJECT, "none", ""),
        ({"*": ""}, PROJECT, "", "*"),
        ({"*": "none", "shop": "node"}, PROJECT, "node", "shop"),
        ({"shop": "node", "web": "sidecar"}, PROJECT, "sidecar", "web"),
        ({"web": "none", "*": "node", "shop": "node"}, PROJECT, "none", "web"),
        ({"0123": "node"}, PROJECT, "node", "0123"),
        ({"other": "node"}, PROJECT, "none", ""),
        ({}, IN, "", ""),
        ({"web": "none"}, IN, "none", "web"),
        ({"*": "", "web": "node"}, OUT, "none", ""),
    ],
)
def test_the_most_exact_attachment_decides(
    attached: dict[str, str], labels: dict[str, str], proxy: str, by: str
) -> None:
    assert decide(attachments(attached), container(labels=labels)) == Decision(proxy, by)


@pytest.mark.parametrize(
    ("attached", "proxy"),
    [
        ({"shop": "node", "web": ""}, "node"),
        ({"web": "", "*": "node", "shop": ""}, "node"),
        ({"*": "node", "shop": "none", "web": ""}, "node"),
        ({"*": "node", "shop": "sidecar", "web": ""}, "sidecar"),
        ({"web": "node", "0123": ""}, "node"),
        ({"web": "node", "0123": "none"}, "none"),
    ],
)
def test_who_does_not_choose_a_proxy_leaves_it_to_the_next(attached: dict[str, str], proxy: str) -> None:
    assert decide(attachments(attached), container()).proxy == proxy


@pytest.mark.parametrize(
    ("target", "meant"),
    [("web-1", {"web-1"}), ("web_1", {"web_1"}), ("web-2", {"web_2"}), ("cafe", {"cafe"}), ("shop", {"web-1"})],
)
def test_an_exact_name_means_nobody_else(target: str, meant: set[str]) -> None:
    names = {"1" * 64: "web-1", "2" * 64: "web_1", "3" * 64: "web_2", "4" * 64: "cafe", "cafe" * 16: "other"}
    containers = {id_: Container(id_, name, labels=PROJECT if name == "web-1" else {}) for id_, name in names.items()}
    made = Membership.of(containers, (Attachment(target=target),))
    assert {one.name for one in containers.values() if not made.is_outside(one)} == meant


@pytest.mark.parametrize(("pid", "is_wanted"), [(7, True), (0, False)])
def test_those_that_run_are_wanted(pid: int, is_wanted: bool) -> None:
    one = container(pid=pid)
    membership = Membership.of({ID: one}, (Attachment(target="*", proxy="node"),))
    assert list(membership.wanted()) == ([run_of(one)] if is_wanted else [])
    assert not membership.is_outside(one)


def test_a_label_says_which_proxy_where_nobody_else_does() -> None:
    one = container(labels=PROJECT | {"mizzen.dev/proxy": "node"})
    for said, proxy in (("", "node"), ("sidecar", "sidecar")):
        membership = Membership.of({ID: one}, (Attachment(target="*", proxy=said),))
        (described,) = membership.wanted().values()
        assert membership.proxy_of(described) == proxy
