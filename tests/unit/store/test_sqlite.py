"""The store of what is applied: in memory what is on disk, whatever happens in between."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.store.written import execute, key, limit_pages, resource, timeouts

from mizzen.store import (
    Action,
    NotFoundError,
    SqliteStore,
    Store,
    StoreError,
    StoreFullError,
    StoreVersionError,
)

NAMES = ("a", "b", "c")


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(tmp_path / "mizzen.db") as store:
        yield store


async def test_what_is_applied_is_in_force_when_apply_returns(store: SqliteStore) -> None:
    as_interface: Store = store
    assert await as_interface.apply([resource("a", 1), resource("b", 2)]) == 1
    assert store.contents.version == 1
    assert timeouts(store.contents) == {"a": 1, "b": 2}
    assert await as_interface.delete([key("a")]) == 2
    assert timeouts(store.contents) == {"b": 2}


async def test_the_same_again_is_unchanged(store: SqliteStore) -> None:
    await store.apply([resource("a")])
    outcome = await store.change(apply=[resource("a")])
    assert (outcome.version, outcome.actions) == (1, {key("a"): Action.UNCHANGED})


async def test_one_change_applies_and_deletes(store: SqliteStore) -> None:
    await store.apply([resource("a"), resource("b")])
    outcome = await store.change(apply=[resource("a", 2), resource("c")], delete=[key("b")])
    assert outcome.actions == {key("a"): Action.CONFIGURED, key("c"): Action.CREATED, key("b"): Action.DELETED}
    assert timeouts(store.contents) == {"a": 2, "c": 1}


async def test_watchers_see_each_change_and_none_of_a_dry_run(store: SqliteStore) -> None:
    watch = store.watch()
    assert (await anext(watch)).version == 0
    outcome = await store.change(apply=[resource("a")], dry_run=True)
    assert (outcome.version, outcome.actions) == (0, {key("a"): Action.CREATED})
    assert store.contents.resources == {}
    await store.apply([resource("b")])
    contents = await anext(watch)
    assert (contents.version, timeouts(contents)) == (1, {"b": 1})


async def test_unknown_resources_are_all_named_and_nothing_is_deleted(store: SqliteStore) -> None:
    await store.apply([resource("a")])
    with pytest.raises(NotFoundError) as caught:
        await store.delete([key("x"), key("a"), key("y")])
    assert [problem.resource for problem in caught.value.problems] == [key("x"), key("y")]
    assert timeouts(store.contents) == {"a": 1}


async def test_a_resource_that_is_named_twice_is_refused(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="VirtualService default/a: it is named twice in one change"):
        await store.apply([resource("a", 1), resource("a", 2)])
    await store.apply([resource("a")])
    with pytest.raises(StoreError, match="named twice"):
        await store.change(apply=[resource("a", 2)], delete=[key("a")])
    assert (store.contents.version, timeouts(store.contents)) == (1, {"a": 1})


async def test_the_ages_are_stamped_and_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path) as store:
        await store.apply([resource("z")])
        await store.apply([resource("b"), resource("a")])
        await store.apply([resource("z", 2)])
        before = store.contents
    async with opened(path) as store:
        assert store.contents == before
        by_age = sorted(store.contents.resources.values(), key=lambda one: one.age)
        assert [(one.name, one.created) for one in by_age] == [("z", 1), ("a", 2), ("b", 2)]
        assert store.contents.resources[key("z")].source.text == resource("z", 2).source.text


async def test_a_namespace_that_came_from_the_command_line_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path) as store:
        await store.apply([resource("a", namespace="shop")])
    async with opened(path) as store:
        assert list(store.contents.resources) == [key("a", "shop")]


async def test_a_full_disk_changes_nothing_and_the_store_goes_on(store: SqliteStore) -> None:
    await store.apply([resource("a", 1)])
    before = store.contents
    store._thread.submit(limit_pages, store._database).result()
    with pytest.raises(StoreFullError):
        await store.apply([resource("a", 2), *(resource(f"more-{number}") for number in range(500))])
    assert store.contents.resources == before.resources
    store._thread.submit(limit_pages, store._database, 1_000_000).result()
    assert await store.apply([resource("a", 2)]) == 2


async def test_a_cancelled_change_is_in_memory_if_it_is_on_disk(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    write = store._database.write

    def slow_write(*args: object, **names: object) -> object:
        begun.set()
        assert go_on.wait(10)
        return write(*args, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(store._database, "write", slow_write)
    async with asyncio.TaskGroup() as group:
        applying = group.create_task(store.apply([resource("a")]))
        await asyncio.to_thread(begun.wait, 10)
        applying.cancel()
        await asyncio.sleep(0)
        assert not applying.done()
        go_on.set()
    assert applying.cancelled()
    assert (store.contents.version, timeouts(store.contents)) == (1, {"a": 1})
    assert await store.apply([resource("a", 2)]) == 2


async def test_changes_at_the_same_time_all_count(store: SqliteStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(store.apply([resource(f"service-{number}")]))
    assert store.contents.version == 20
    assert len(store.contents.resources) == 20


async def test_of_two_deletions_at_the_same_time_one_finds_nothing(store: SqliteStore) -> None:
    await store.apply([resource("a")])
    results = await asyncio.gather(store.delete([key("a")]), store.delete([key("a")]), return_exceptions=True)
    assert results[0] == store.contents.version == 2
    assert isinstance(results[1], NotFoundError)


async def test_a_stored_text_that_loads_no_more_is_a_problem_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path) as store:
        await store.apply([resource("a"), resource("b")])
    execute(path, ["UPDATE resources SET text = replace(text, 'timeout', 'tiemout') WHERE name = 'a'"])
    for _ in range(2):
        async with opened(path) as store:
            assert timeouts(store.contents) == {"b": 1}
            first, *reasons = store.contents.problems
            assert first.resource == key("a")
            assert "this version of Mizzen does not accept it" in first.message
            assert first.hint.endswith("or run `mizzen delete virtualservice a --namespace default`")
            assert [reason.code for reason in reasons] == ["UnknownField"]
    async with opened(path) as store:
        await store.apply([resource("a", 2)])
        assert (timeouts(store.contents), store.contents.problems) == ({"a": 2, "b": 1}, ())
    execute(path, ["UPDATE resources SET text = 'not: {yaml' WHERE name = 'a'"])
    async with opened(path) as store:
        await store.delete([key("a")])
        assert (timeouts(store.contents), store.contents.problems) == ({"b": 1}, ())


async def test_previous_generations_latest_first(store: SqliteStore) -> None:
    assert await store.previous(key("a")) == []
    for timeout in (1, 2, 3, 2, 4):
        await store.apply([resource("a", timeout)])
    previous = await store.previous(key("a"))
    assert [one.spec.http[0].timeout for one in previous] == [2, 3, 1]
    assert {one.created for one in previous} == {1}


async def test_the_present_generation_is_not_among_the_previous(store: SqliteStore) -> None:
    for timeout in (1, 2, 1):
        await store.apply([resource("a", timeout)])
    assert [one.spec.http[0].timeout for one in await store.previous(key("a"))] == [2]


async def test_previous_generations_end_with_a_deletion(store: SqliteStore) -> None:
    await store.apply([resource("a", 1)])
    await store.delete([key("a")])
    assert await store.previous(key("a")) == []
    await store.apply([resource("a", 2)])
    assert await store.previous(key("a")) == []
    await store.apply([resource("a", 3)])
    assert [one.spec.http[0].timeout for one in await store.previous(key("a"))] == [2]


async def test_what_files_say_is_recorded_apart(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path) as store:
        await store.apply([resource("a", 1)])
        await store.record_files({key("b"): resource("b", 1, file="mesh.yaml")})
        await store.record_files({key("b"): resource("b", 2, file="mesh.yaml")})
        await store.record_files({key("b"): resource("b", 2, file="mesh.yaml")})
        assert timeouts(store.contents) == {"a": 1}
        assert store.contents.version == 3
    async with opened(path) as store:
        assert timeouts(store.contents) == {"a": 1}
        assert store.stored.files == {key("b"): resource("b", 2)}
        assert store.stored.files[key("b")].source.file == "mesh.yaml"
        assert [change.version for change in await store.history(key("b"))] == [3, 2]
        assert [one.spec.http[0].timeout for one in await store.previous(key("b"))] == [1]
        await store.record_files({})
        assert (await store.history(key("b")))[0].action is Action.DELETED


async def test_sections_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path) as store:
        await store.write_section("restarts", {"default/reviews": 1, "default/ratings": 2})
        await store.write_section("restarts", {"default/reviews": 2})
    async with opened(path) as store:
        assert await store.section("restarts") == {"default/reviews": 2, "default/ratings": 2}


async def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "mizzen.db"
    async with opened(path):
        pass
    execute(path, ["PRAGMA user_version = 99"])
    threads = threading.active_count()
    with pytest.raises(StoreVersionError):
        await SqliteStore.open(path)
    for thread in threading.enumerate():
        if thread.name.startswith("store"):
            thread.join(10)
    assert threading.active_count() <= threads


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), min_size=1)),
        st.tuples(st.just("delete"), st.sets(st.sampled_from(NAMES), min_size=1)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=_steps)
def test_any_sequence_is_as_a_dictionary(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_follow_model(Path(folder, "mizzen.db"), steps))


async def _follow_model(path: Path, steps: list[tuple[str, object]]) -> None:
    model: dict[str, int] = {}
    born: dict[str, int] = {}
    version = 0
    store = await SqliteStore.open(path)
    for verb, what in steps:
        if verb == "reopen":
            await store.close()
            store = await SqliteStore.open(path)
        elif verb == "apply":
            assert isinstance(what, dict)
            version += any(model.get(name) != timeout for name, timeout in what.items())
            model |= what
            born = dict.fromkeys(what, version) | born
            assert await store.apply([resource(name, timeout) for name, timeout in what.items()]) == version
        elif isinstance(what, set) and what <= model.keys():
            version += 1
            model = {name: timeout for name, timeout in model.items() if name not in what}
            born = {name: created for name, created in born.items() if name not in what}
            assert await store.delete([key(name) for name in what]) == version
        else:
            assert isinstance(what, set)
            with pytest.raises(NotFoundError):
                await store.delete([key(name) for name in what])
        assert timeouts(store.contents) == model
        assert {one.name: one.created for one in store.contents.resources.values()} == born
        assert store.contents.version == version
    await store.close()
