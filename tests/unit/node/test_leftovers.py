from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mizzen.node.leftovers import Records, kill_group, leftovers
from mizzen.node.process_table import Process, running, start_time


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ({}, []),
        ({10: Process(10, "then")}, [10]),
        ({10: Process(10, "later")}, []),  # the id has been given to a stranger
        ({11: Process(10, "then")}, [10]),  # the leader is gone, a child of it is not
        ({11: Process(12, "then")}, []),
    ],
)
def test_which_groups_are_leftovers(processes: dict[int, Process], expected: list[int]) -> None:
    assert leftovers({10: "then"}, processes) == expected


def test_this_process_is_found() -> None:
    found = running()[os.getpid()]
    assert found == Process(os.getpgrp(), start_time(os.getpid()) or "")


def test_a_process_that_is_not_there_has_no_start_time() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert start_time(process.pid) is None


def test_a_recorded_group_is_killed_and_a_removed_one_is_not(tmp_path: Path) -> None:
    script = ["sh", "-c", "sleep 100 & echo; wait"]
    with (
        subprocess.Popen(script, stdout=subprocess.PIPE, start_new_session=True) as recorded,
        subprocess.Popen(["sleep", "100"], start_new_session=True) as removed,
    ):
        assert recorded.stdout
        recorded.stdout.readline()
        records = Records(tmp_path / "children")
        records.add(recorded.pid)
        records.add(removed.pid)
        records.remove(removed.pid)
        assert Records(tmp_path / "children").kill_leftovers() == [recorded.pid]
        assert recorded.stdout.read() == b""  # both the shell and its child are gone
        assert recorded.wait() == -9
        assert removed.poll() is None
        removed.kill()
    assert list((tmp_path / "children").iterdir()) == []


def test_the_children_of_this_run_are_killed_all(tmp_path: Path) -> None:
    records = Records(tmp_path / "children")
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        records.add(process.pid)
        records.kill_all()
        assert process.wait() == -9
    records.remove(process.pid)
    records.kill_all()


def test_without_records_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert Records(tmp_path / "none").kill_leftovers() == []


def test_a_record_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Records(tmp_path / "file").add(os.getpid())


def test_a_group_is_killed_if_it_is_still_the_one_that_started_then() -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        kill_group(process.pid, None)
        kill_group(process.pid, "another time")
        assert process.poll() is None
        kill_group(process.pid, start_time(process.pid))
        assert process.wait() == -9
