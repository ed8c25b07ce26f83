"""The store on a disk that is really full: a small file system of its own, filled to the last byte."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.store.written import codes, documents, key, resource, table, timeouts, virtual_service

from mizzen.store import SqliteStore, StoreFullError, Stores, stores

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "mizzen-test", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    facts = os.statvfs(disk)
    assert facts.f_bavail == 0
    return ballast


async def test_nothing_is_half_applied_and_the_store_goes_on(disk: Path) -> None:
    path = disk / "mizzen.db"
    store = await SqliteStore.open(path)
    await store.apply([resource("a", 1)])
    before = store.contents
    ballast = fill(disk)
    many = [resource("a", 2), *(resource(f"more-{number}") for number in range(200))]
    for _ in range(3):
        with pytest.raises(StoreFullError, match=f"the disk that holds {path} is full; nothing was changed"):
            await store.apply(many)
        assert (store.contents.version, store.contents.resources) == (before.version, before.resources)
        assert [change.version for change in await store.history(key("a"))] == [1]
    ballast.unlink()
    assert await store.apply(many) == 2
    after = store.contents
    await store.close()
    assert table(path, "PRAGMA integrity_check") == [("ok",)]
    store = await SqliteStore.open(path)
    assert store.contents == after
    await store.close()


async def test_filled_little_by_little(disk: Path) -> None:
    """The disk fills up by the changes themselves: each is there, or was refused."""
    path = disk / "mizzen.db"
    store = await SqliteStore.open(path)
    applied = 0
    full = False
    while not full:
        try:
            await store.apply([resource(f"service-{applied}"), resource("latest", applied + 1)])
            applied += 1
        except StoreFullError:
            full = True
    assert applied > 10
    expected = {f"service-{number}": 1 for number in range(applied)} | {"latest": applied}
    assert timeouts(store.contents) == expected
    await store.close()
    store = await SqliteStore.open(path)
    assert (store.contents.version, timeouts(store.contents)) == (applied, expected)
    await store.close()


async def test_a_control_plane_starts_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """As after a crash: the changes are still in the write-ahead log, and there is no space for anything."""
    path = disk / "mizzen.db"
    crashed = await SqliteStore.open(path)
    await crashed.apply([resource("a", 1)])
    await crashed.apply([resource("a", 2)])
    image = {file.name: file.read_bytes() for file in disk.iterdir()}
    assert "mizzen.db-wal" in image
    await crashed.close()
    for name, content in image.items():
        (disk / name).write_bytes(content)
    ballast = fill(disk)
    async with await Stores.open(path, [tmp_path / "mesh.yaml"]) as mesh:
        assert timeouts(mesh.contents) == {"a": 2}
    ballast.unlink()


async def test_a_new_database_on_a_full_disk(disk: Path) -> None:
    path = disk / "mizzen.db"
    ballast = fill(disk)
    with pytest.raises(StoreFullError):
        await SqliteStore.open(path)
    ballast.unlink()
    store = await SqliteStore.open(path)
    assert await store.apply([resource("a")]) == 1
    await store.close()


async def test_an_edit_takes_effect_as_soon_as_there_is_space(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_RETRY", 0.05)
    file = tmp_path / "mesh.yaml"
    file.write_text(virtual_service("a", 1))
    async with await Stores.open(disk / "mizzen.db", [file]) as mesh, asyncio.TaskGroup() as group:
        running = group.create_task(mesh.run())
        ballast = fill(disk)
        file.write_text(documents(virtual_service("a", 2), *(virtual_service(f"more-{n}") for n in range(200))))
        async for contents in mesh.watch():
            if contents.problems:
                break
        assert (timeouts(contents), codes(contents)) == ({"a": 1}, ["StoreFull", "FilesNotRecorded"])
        ballast.unlink()
        async for contents in mesh.watch():
            if not contents.problems:
                break
        assert len(contents.resources) == 201
        assert timeouts(contents)["a"] == 2
        running.cancel()
