"""Where the contents of Secrets are, and where they are not."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.unit.store.written import execute, virtual_service

from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.problems import errors
from mizzen.resources.resource import Resource
from mizzen.resources.secret import KEPT, SecretSpec
from mizzen.store import StoreError, Stores

SHOP = Key("Secret", "default", "shop")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    state = tmp_path / "state"
    state.mkdir()
    async with await Stores.open(state / "mizzen.db", []) as opened:
        yield opened


def secret(authority: Authority) -> tuple[Resource[SecretSpec], str]:
    certificate, key = (path.read_text() for path in authority.issue("shop"))
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop"}}
    (resource,) = load(json.dumps({**document, "stringData": {"tls.crt": certificate, "tls.key": key}}), "f").resources
    return resource, key


def keys(stores: Stores) -> list[str]:
    return [file.read_text() for file in sorted(stores.secrets.glob("*/tls.key"))]


async def test_a_key_is_in_a_file_of_this_user_and_nowhere_else(stores: Stores, authority: Authority) -> None:
    resource, key = secret(authority)
    await stores.apply([resource])
    (folder,) = stores.secrets.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["tls.crt", "tls.key"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (stores.secrets, folder, folder / "tls.key")]
    assert modes == [0o700, 0o700, 0o600]
    assert keys(stores) == [key]
    assert not stores.contents.resources[SHOP].private
    line = key.splitlines()[1].encode()
    assert not any(line in file.read_bytes() for file in stores.secrets.parent.glob("mizzen.db*"))
    assert line.decode() not in "".join(change.text for change in await stores.history(SHOP))


async def test_only_the_current_value_is_kept(stores: Stores, authority: Authority) -> None:
    for _ in range(2):
        resource, key = secret(authority)
        await stores.apply([resource])
        assert keys(stores) == [key]
    await stores.delete([SHOP])
    assert keys(stores) == []


async def test_a_change_that_is_not_made_leaves_what_there_was(stores: Stores, authority: Authority) -> None:
    first, key = secret(authority)
    await stores.apply([first])
    second, _ = secret(authority)
    await stores.change(apply=[second], dry_run=True)
    assert keys(stores) == [key]
    with pytest.raises(StoreError):
        await stores.change(apply=[second, second])
    assert keys(stores) == [key]


async def test_what_get_has_shown_can_be_applied_again(stores: Stores, authority: Authority) -> None:
    resource, key = secret(authority)
    await stores.apply([resource])
    (shown,) = load(resource.source.text.replace("name: shop", "name: shop\n  labels: {a: b}", 1), "f").resources
    await stores.apply([shown])
    assert keys(stores) == [key]
    (other,) = load(secret(authority)[0].source.text, "f").resources
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="none is kept for this certificate"):
            await stores.change(apply=[other], dry_run=dry_run)


async def test_the_next_control_plane_finds_them_and_removes_what_a_crash_has_left(
    tmp_path: Path, authority: Authority
) -> None:
    database = tmp_path / "mizzen.db"
    resource, key = secret(authority)
    async with await Stores.open(database, []) as stores:
        await stores.apply([resource])
        (stores.secrets / "left.new").mkdir()
    async with await Stores.open(database, []) as stores:
        assert keys(stores) == [key]
        assert len(list(stores.secrets.iterdir())) == 1


async def test_secrets_of_watched_files_are_kept_too(tmp_path: Path, authority: Authority) -> None:
    resource, key = secret(authority)
    text = resource.source.text.replace(KEPT, json.dumps(key))
    assert key.splitlines()[1] in text
    file = tmp_path / "secret.yaml"
    file.write_text(text)
    async with await Stores.open(tmp_path / "mizzen.db", [file]) as stores:
        assert keys(stores) == [key]
        assert stores.contents.watched == {SHOP}
        assert not stores.contents.resources[SHOP].private


async def test_a_key_that_is_not_here_stops_nothing_else_that_files_say(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "secret.yaml").write_text(secret(authority)[0].source.text)
    (tmp_path / "route.yaml").write_text(virtual_service("a"))
    async with await Stores.open(tmp_path / "mizzen.db", [tmp_path]) as stores:
        assert [key.kind for key in stores.contents.resources] == ["VirtualService"]
        (problem,) = errors(stores.contents.problems)
        assert (problem.code, problem.resource) == ("NoPrivateKey", SHOP)
        assert problem in stores.file_problems


async def test_where_a_key_is_not_here_the_secret_is_as_it_was_in_its_file(
    tmp_path: Path, authority: Authority
) -> None:
    file, database = tmp_path / "secret.yaml", tmp_path / "mizzen.db"
    resource, key = secret(authority)
    file.write_text(resource.source.text.replace(KEPT, json.dumps(key)))
    async with await Stores.open(database, [file]) as stores:
        before = stores.contents
    file.write_text(secret(authority)[0].source.text)
    async with await Stores.open(database, [file]) as stores:
        assert stores.contents.resources == before.resources
        assert keys(stores) == [key]
        assert [problem.code for problem in stores.file_problems] == ["NoPrivateKey"]
    file.write_text(resource.source.text)
    async with await Stores.open(database, [file]) as stores:
        assert keys(stores) == [key]
        assert not stores.file_problems


async def test_two_with_one_certificate_need_its_key_once(stores: Stores, authority: Authority) -> None:
    resource, key = secret(authority)
    (shown,) = load(resource.source.text.replace("name: shop", "name: again", 1), "f").resources
    await stores.apply([shown, resource])
    assert keys(stores) == [key]


async def test_keys_of_what_this_version_cannot_read_are_kept(tmp_path: Path, authority: Authority) -> None:
    database = tmp_path / "mizzen.db"
    resource, key = secret(authority)
    async with await Stores.open(database, []) as stores:
        await stores.apply([resource])
    execute(database, ["UPDATE resources SET text = replace(text, 'stringData', 'stringDatum')"])
    async with await Stores.open(database, []) as stores:
        assert SHOP not in stores.contents.resources
        assert keys(stores) == [key]
        await stores.delete([SHOP])
        assert keys(stores) == []
