from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.control import logs
from mizzen.control.logs import follow, last_lines, tail


async def collected(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@given(
    text=st.lists(st.sampled_from([b"\n", b"\r", b"a"]), max_size=30).map(b"".join),
    lines=st.integers(-1, 8),
    block=st.integers(1, 9),
)
def test_the_last_lines_are_those_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, lines: int, block: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "log"
    file.write_bytes(text)
    whole = [line + b"\n" for line in text.split(b"\n")]
    whole[-1] = whole[-1][:-1]
    expected = [line for line in whole if line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_BLOCK", block)
        assert last_lines(file, lines) == b"".join(expected[-lines:] if lines > 0 else expected if lines < 0 else [])


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", 5) == b""


async def test_lines_of_several_files_carry_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n2\n")
    (tmp_path / "b").write_text("3\n")
    files = {name: tmp_path / name for name in ("a", "b")}
    assert await collected(tail(files, -1)) == b"[a] 1\n[a] 2\n[b] 3\n"
    assert await collected(tail({"a": tmp_path / "a"}, 1)) == b"2\n"


async def read_until(parts: AsyncIterator[bytes], wanted: bytes) -> bytes:
    found = b""
    async with asyncio.timeout(10):
        while wanted not in found:
            found += await anext(parts)
    return found


async def test_what_is_appended_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old\n")
    parts = follow({"a": file}, 1)
    assert await read_until(parts, b"old\n") == b"old\n"
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_until(parts, b"two\n"))
        await asyncio.sleep(0)
        with file.open("a") as appending:
            appending.write("one\ntwo\n")
    assert reading.result() == b"one\ntwo\n"
    await parts.aclose()  # type: ignore[attr-defined]


async def test_what_is_appended_before_anybody_watches_comes_too_and_once(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old\n")
    parts = follow({"a": file}, -1)
    assert await anext(parts) == b"old\n"
    with file.open("a") as appending:
        appending.write("new\n")
    assert await read_until(parts, b"new\n") == b"new\n"
    await parts.aclose()  # type: ignore[attr-defined]


async def test_a_file_that_is_replaced_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("")
    parts = follow({"a": file}, 0)
    assert await anext(parts) == b""
    with file.open("a") as appending:
        appending.write("last\n")
    file.rename(tmp_path / "a.1")
    file.write_text("first\n")
    assert await read_until(parts, b"first\n") == b"last\nfirst\n"
    await parts.aclose()  # type: ignore[attr-defined]


async def test_files_that_come_later_are_followed_from_where_they_were(tmp_path: Path) -> None:
    first, earlier, new = (tmp_path / name for name in "abc")
    first.write_text("first\n")
    earlier.write_text("of an earlier run\n")
    now = {"a-0": first}
    parts = follow(now, -1, lambda: now)
    assert await anext(parts) == b"first\n"
    with earlier.open("a") as appending:
        appending.write("second\n")
    now["a-1"] = earlier
    assert await read_until(parts, b"second\n") == b"[a-1] second\n"
    new.write_text("third\n")
    now["a-2"] = new
    del now["a-0"]
    assert await read_until(parts, b"third\n") == b"[a-2] third\n"
    await parts.aclose()  # type: ignore[attr-defined]
