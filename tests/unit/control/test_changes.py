from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.written import destination_rule, service, subset, to, virtual_service, workload
from tests.unit.control.conftest import OpenWorld

from mizzen.control.changes import Changes, RefusedError
from mizzen.control.world import World
from mizzen.registry.reports import Report
from mizzen.resources.key import Key
from mizzen.store.contents import NotFoundError, ReadOnlyError
from mizzen.store.history import Action

NOBODY = Report(node="n")
A, B = ("a.yaml", service("a") + workload("a")), ("b.yaml", virtual_service("a"))


def changes(world: World) -> Changes:
    return Changes(world._stores, world)


async def refused(world: World, *files: tuple[str, str]) -> list[str]:
    before = world._stores.contents
    with pytest.raises(RefusedError) as caught:
        await changes(world).apply(files)
    assert world._stores.contents == before
    return [problem.code for problem in caught.value.problems]


async def test_apply_returns_the_version_in_which_it_takes_effect(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        done = await changes(world).apply([A, B])
        published = world.published.get()
        assert published is not None
        assert published.snapshot.version == done.version
        assert len(published.snapshot.virtual_services) == 1
        assert {str(key): action for key, action in done.actions.items()} == {
            "Service default/a": "created",
            "Workload default/a": "created",
            "VirtualService default/a": "created",
        }
        again = await changes(world).apply([B])
        assert list(again.actions.values()) == ["unchanged"]
        assert again.version == done.version


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        done = await changes(world).apply([A], dry_run=True)
        assert set(done.actions.values()) == {"created"}
        assert not world._stores.contents.resources


async def test_one_error_refuses_all(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        assert await refused(world, A, ("bad.yaml", "kind: Nothing\napiVersion: v1\n"))


async def test_the_same_resource_twice_is_refused(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        assert await refused(world, A, ("again.yaml", service("a"))) == ["DuplicateResource"]


async def test_nothing_to_apply_is_refused(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        assert await refused(world, ("empty.yaml", "")) == ["NothingToApply"]


SUBSETS = ("rule.yaml", destination_rule("a", subsets=[subset("v1")]))
AGAIN = ("c.yaml", virtual_service("again", to("a"), hosts=["a"]))
DANGLING = ("c.yaml", virtual_service("a", to("a", "v2")))
LOST = ("c.yaml", virtual_service("a", to("gone")))
LOST_RULE = ("c.yaml", destination_rule("gone"))
UNREACHED = ("c.yaml", virtual_service("a", to("a"), to("a")))
WIDER = [to("a", match=[{"uri": {"prefix": path}}]) for path in ("/a", "/a/b")]
COVERED = ("c.yaml", virtual_service("a", *WIDER))
NAMED = [to("a", match=[{"sniHosts": ["a.example.com"]}]) for _ in range(2)]
UNNAMED = ("c.yaml", virtual_service("a", hosts=["a.example.com"], http=[], tls=NAMED))
BYTES = ("t.yaml", service("t", ("tcp", 80)))
AT_PORT = [to("t", match=[match]) for match in ({"port": 80}, {"port": 80, "sourceLabels": {"a": "b"}})]
UNCONNECTED = ("c.yaml", virtual_service("t", http=[], tcp=AT_PORT))


HIDDEN = (
    "h.yaml",
    service("h").replace("  name: h", '  name: h\n  annotations: {networking.istio.io/exportTo: "."}') + workload("h"),
)
SEEING = ("c.yaml", virtual_service("h", to("h.default.svc.cluster.local"), namespace="far", exportTo=["."]))


@pytest.mark.parametrize(
    ("there", "applied", "code", "where", "other"),
    [
        pytest.param([A, B], AGAIN, "IST0109", "c.yaml:9:5", "b.yaml:9:5", id="two owners of a host"),
        pytest.param([A, SUBSETS], DANGLING, "IST0101", "c.yaml:14:17", "rule.yaml:9:3", id="a dangling subset"),
        pytest.param([A], LOST, "IST0101", "c.yaml:13:15", "", id="a route to a host that is not there"),
        pytest.param([A], LOST_RULE, "IST0174", "c.yaml:8:9", "", id="a rule for a host that is not there"),
        pytest.param([A], UNREACHED, "IST0130", "c.yaml:14:5", "c.yaml:11:5", id="a rule that no request reaches"),
        pytest.param([A], COVERED, "IST0131", "c.yaml:21:7", "c.yaml:11:5", id="a rule whose matches are covered"),
        pytest.param([A], UNNAMED, "IST0130", "c.yaml:18:5", "c.yaml:12:5", id="a rule that no server name reaches"),
        pytest.param(
            [BYTES], UNCONNECTED, "IST0130", "c.yaml:17:5", "c.yaml:12:5", id="a rule that no connection reaches"
        ),
        pytest.param(
            [HIDDEN], SEEING, "IST0101", "c.yaml:13:15", "h.yaml:2:1", id="a route to what its callers do not see"
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_both_lines_unless_it_is_forced(
    open_world: OpenWorld, there: list[tuple[str, str]], applied: tuple[str, str], code: str, where: str, other: str
) -> None:
    async with open_world(report=NOBODY) as world:
        await changes(world).apply(there)
        before = world._stores.contents
        with pytest.raises(RefusedError) as caught:
            await changes(world).apply([applied])
        assert world._stores.contents == before
        problem, last = caught.value.problems
        assert (problem.code, problem.level, str(problem.position)) == (code, "error", where)
        assert other in problem.message
        assert "--force" in last.hint
        done = await changes(world).apply([applied], force=True)
        assert [(one.code, one.level) for one in done.warnings] == [(code, "warning")]
        assert set(done.actions.values()) <= {"created", "configured"}
        again = await changes(world).apply([applied])
        assert list(again.actions.values()) == ["unchanged"]


async def test_what_is_wrong_by_itself_cannot_be_forced(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        with pytest.raises(RefusedError) as caught:
            await changes(world).apply([("a.yaml", virtual_service("a", {"rout": []}))], force=True)
        assert "Refused" not in [problem.code for problem in caught.value.problems]


async def test_what_was_wrong_before_is_not_held_against_a_change(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        rule = destination_rule("a", subsets=[subset("v1")])
        await changes(world).apply([A, ("rule.yaml", rule), ("b.yaml", virtual_service("a", to("a", "v1")))])
        deleted = await changes(world).delete([Key("DestinationRule", "default", "a")], force=True)
        assert [problem.code for problem in deleted.warnings] == ["IST0101"]
        await changes(world).apply([("c.yaml", service("c"))])


async def test_what_others_need_is_not_deleted(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        rule, route = destination_rule("a", subsets=[subset("v1")]), virtual_service("a", to("a", "v1"))
        await changes(world).apply([A, ("rule.yaml", rule), ("b.yaml", route)])
        needed = Key("DestinationRule", "default", "a")
        with pytest.raises(RefusedError) as refused:
            await changes(world).delete([needed])
        assert [problem.code for problem in refused.value.problems] == ["IST0101", "StillNeeded"]
        assert needed in world._stores.contents.resources
        await changes(world).delete([needed, Key("VirtualService", "default", "a")])


async def test_delete_is_all_or_nothing(open_world: OpenWorld) -> None:
    async with open_world(report=NOBODY) as world:
        await changes(world).apply([A])
        known, unknown = Key("Service", "default", "a"), Key("Service", "default", "b")
        with pytest.raises(NotFoundError):
            await changes(world).delete([known, unknown])
        assert known in world._stores.contents.resources
        done = await changes(world).delete([known])
        assert done.actions == {known: "deleted"}
        published = world.published.get()
        assert published is not None
        assert not published.snapshot.services


async def test_what_a_watched_file_says_is_not_applied_over(open_world: OpenWorld, tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(service("a"))
    async with open_world(file, report=NOBODY) as world:
        same = ("mine.yaml", service("a"))
        assert (await changes(world).apply([same])).actions == {Key("Service", "default", "a"): Action.UNCHANGED}
        with pytest.raises(ReadOnlyError) as caught:
            await changes(world).apply([("mine.yaml", "# Mine.\n" + service("a").replace("9080", "9081"))])
        (problem,) = caught.value.problems
        assert str(problem.position).startswith("mine.yaml:")
        assert f"{file}:" in problem.message


async def test_a_service_that_callers_do_not_see_any_more_is_told_of(open_world: OpenWorld) -> None:
    seen = ("h.yaml", service("h") + workload("h"))
    route = ("c.yaml", virtual_service("h", to("h.default.svc.cluster.local"), namespace="far"))
    async with open_world(report=NOBODY) as world:
        await changes(world).apply([seen, route])
        done = await changes(world).apply([HIDDEN])
        (warned,) = done.warnings
        assert (warned.code, str(warned.resource)) == ("IST0101", "VirtualService far/h")
        assert "requests from namespace far get 503" in warned.message


async def test_what_was_forced_is_held_against_no_other_change(open_world: OpenWorld) -> None:
    """Other words are said of it: what is meant, and whom it does not go with."""
    lost = ("l.yaml", virtual_service("l", to("payment")))
    owners = [
        (f"{name}.yaml", virtual_service(name, to("a"), hosts=["own.example.com"])) for name in ("oa", "ob", "oc")
    ]
    async with open_world(report=NOBODY) as world:
        await changes(world).apply([A])
        for one in (lost, *owners):
            await changes(world).apply([one], force=True)
        await changes(world).apply([("p.yaml", service("payments") + workload("payments"))])
        done = await changes(world).delete([Key("VirtualService", "default", "oa")])
        assert list(done.actions.values()) == [Action.DELETED]
        # It is held against a change of its own.
        with pytest.raises(RefusedError):
            await changes(world).apply([("l.yaml", virtual_service("l", to("payment", weight=100)))])
