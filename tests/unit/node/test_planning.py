from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.planning import Running, Start, Stop, Wanted, free_names, plan
from mizzen.node.specs import Revision

WEB = ("default", "web")
OLD, NEW = Revision("1"), Revision("2")


def instance(number: int, revision: Revision = NEW, *, announced: bool = True, leaving: bool = False) -> Running:
    return Running(WEB, f"web-{number}", revision, announced, leaving)


def start(number: int) -> Start:
    return Start(WEB, f"web-{number}")


def stop(number: int) -> Stop:
    return Stop(WEB, f"web-{number}")


@pytest.mark.parametrize(
    ("replicas", "running", "actions"),
    [
        pytest.param(2, [], [start(0), start(1)], id="all at once at first"),
        pytest.param(3, [instance(1)], [start(0), start(2)], id="lowest free numbers"),
        pytest.param(1, [instance(0, leaving=True)], [start(1)], id="a number is free when its instance is gone"),
        pytest.param(1, [instance(0)], [], id="nothing to do"),
        pytest.param(1, [instance(0), instance(1)], [stop(1)], id="the highest goes first"),
        pytest.param(
            1, [instance(0, announced=False), instance(1)], [stop(0)], id="but one that serves nobody before it"
        ),
        pytest.param(0, [instance(0)], [stop(0)], id="none"),
        pytest.param(1, [instance(0, OLD)], [start(1)], id="a new one before the old one goes"),
        pytest.param(1, [instance(0, OLD), instance(1, announced=False)], [], id="not before it is announced"),
        pytest.param(1, [instance(0, OLD), instance(1)], [stop(0)], id="then the old one goes"),
        pytest.param(2, [instance(0, OLD), instance(1, OLD)], [start(2)], id="one at a time"),
        pytest.param(2, [instance(0, OLD, leaving=True), instance(1, OLD), instance(2)], [], id="until it is gone"),
        pytest.param(1, [instance(0, OLD, announced=False)], [stop(0), start(1)], id="an old one that serves nobody"),
        pytest.param(
            1, [instance(0, OLD), instance(1, OLD), instance(2, OLD)], [stop(0), stop(1)], id="scaled down too"
        ),
        pytest.param(0, [instance(0, OLD)], [stop(0)], id="replaced by none"),
    ],
)
def test_the_next_actions(replicas: int, running: list[Running], actions: list[Start | Stop]) -> None:
    assert plan({WEB: Wanted(NEW, replicas)}, running) == actions


def test_a_workload_that_is_gone_is_stopped_and_others_are_left_alone() -> None:
    other = Running(("default", "other"), "other-0", OLD)
    running = [instance(0), instance(1, leaving=True), other]
    assert plan({("default", "other"): Wanted(OLD, 1)}, running) == [stop(0)]


def test_workloads_of_one_name_in_two_namespaces() -> None:
    wanted = {("a", "web"): Wanted(NEW, 1), ("b", "web"): Wanted(NEW, 1)}
    assert plan(wanted, []) == [Start(("a", "web"), "web-0"), Start(("b", "web"), "web-0")]


def test_names_that_end_in_numbers() -> None:
    names = free_names("web-1", {"web-1-0"})
    assert [next(names), next(names)] == ["web-1-1", "web-1-2"]


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32))
def test_a_rolling_update_never_lacks_and_never_has_too_many(before: int, after: int, seed: int) -> None:
    chance = random.Random(seed)
    running = [instance(number, OLD) for number in range(before)]
    wanted = {WEB: Wanted(NEW, after)}
    for _ in range(200):
        for action in plan(wanted, running):
            if isinstance(action, Start):
                assert action.name not in {item.name for item in running}
                running.append(Running(WEB, action.name, NEW))
            else:
                running = [
                    dataclasses.replace(item, leaving=True) if item.name == action.name else item for item in running
                ]
        serving = [item for item in running if item.announced and not item.leaving]
        assert len(serving) >= min(before, after)
        assert len([item for item in running if not item.leaving]) <= max(before, after) + 1
        changing = [item for item in running if item.leaving or not item.announced]
        if not changing:
            break
        picked = chance.choice(changing)
        running.remove(picked)
        if not picked.leaving:
            running.append(dataclasses.replace(picked, announced=True))
    assert [item.revision for item in running] == [NEW] * after
    assert plan(wanted, running) == []
