from __future__ import annotations

import pytest

from mizzen.control.attachments import Attachments
from mizzen.registry.reports import Attachment


def after(*changes: tuple[str, str], all_containers: bool = False) -> Attachments:
    made = Attachments(all_containers=all_containers)
    for target, proxy in changes:
        made = made.changed(target, proxy)
    return made


def test_the_latest_command_for_a_target_counts() -> None:
    made = after(("shop", ""), ("shop", "node"), ("web", "sidecar"))
    assert made.proxies == {"shop": "node", "web": "sidecar"}
    assert made.version == 3


@pytest.mark.parametrize(
    ("changes", "proxy"),
    [
        (["node", ""], "node"),
        (["node", "sidecar", ""], "sidecar"),
        (["node", "none", ""], ""),
        (["node", "", "none"], None),
    ],
)
def test_who_does_not_choose_a_proxy_keeps_the_chosen_one(changes: list[str], proxy: str | None) -> None:
    assert after(*(("web", change) for change in changes)).proxies.get("web") == proxy


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ([], {}),
        ([("web", "")], {}),
        ([("*", "")], {"*": "", "web": "none"}),
        ([("shop", "node")], {"shop": "node", "web": "none"}),
    ],
)
def test_who_is_to_stay_outside_is_noted_where_something_else_might_attach_it(
    before: list[tuple[str, str]], kept: dict[str, str]
) -> None:
    assert after(*before, ("web", "none")).proxies == kept


def test_whoever_detaches_all_means_all() -> None:
    several = (("web", "node"), ("shop", ""), ("db", "none"))
    assert after(*several, ("*", "none")).proxies == {}
    assert after(*several, ("*", "none"), all_containers=True).proxies == {"*": "none"}
    assert after(*several, ("*", "none"), ("web", "")).proxies == {"web": ""}


@pytest.mark.parametrize("target", ["web", "*"])
def test_who_is_a_member_by_its_label_is_told_to_stay_outside(target: str) -> None:
    assert Attachments().changed(target, "none", by_label=True).proxies == {target: "none"}


def test_where_all_containers_are_members_one_may_stay_outside() -> None:
    made = after(("web", "none"), all_containers=True)
    assert made.told() == (Attachment(target="*"), Attachment(target="web", proxy="none"))


def test_what_was_said_of_all_comes_before_what_the_mesh_was_started_with() -> None:
    made = after(("*", "node"), all_containers=True)
    assert made.told() == (Attachment(target="*", proxy="node"),)
