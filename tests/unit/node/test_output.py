from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.node.output import Output


def test_everything_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\n")
    output = Output(path)
    output.write(b"one\ntw")
    output.write(b"o\n")
    output.close()
    output.write(b"three\n")
    assert path.read_text() == "old\none\ntwo\nthree\n"


def test_the_last_lines_are_remembered_over_writes(tmp_path: Path) -> None:
    output = Output(tmp_path / "a.log")
    for number in range(100):
        output.write(f"line {number}\n".encode())
    output.write(b"half a")
    output.write(b" line \xff")
    assert output.tail[-3:] == ["line 98", "line 99", "half a line \ufffd"]
    assert len(output.tail) <= 31
    output.fresh()
    assert output.tail == []


def test_the_file_is_bounded_and_one_older_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    output = Output(path, limit=100)
    for number in range(100):
        output.write(f"{number:09}\n".encode())
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes == {"a.log": 100, "a.log.1": 100}
    assert path.read_text().endswith("000000099\n")
    assert path.with_name("a.log.1").read_text().endswith("000000089\n")


def test_a_file_of_an_earlier_run_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 95)
    Output(path, limit=100).write(b"123456789\n")
    assert path.read_bytes() == b"123456789\n"
    assert path.with_name("a.log.1").stat().st_size == 95


def test_what_cannot_be_written_is_lost_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    output = Output(folder / "a.log")
    output.write(b"12345\n")
    assert output.tail == ["12345"]
    folder.mkdir()
    output.write(b"after\n")
    assert (folder / "a.log").read_text() == "[mizzen: 6 bytes of this log are lost; was the disk full?]\nafter\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_no_error() -> None:
    output = Output(Path("/dev/full"))
    output.write(b"line\n" * 1000)
    assert output.tail[-1] == "line"
