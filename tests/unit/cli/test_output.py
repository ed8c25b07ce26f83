from __future__ import annotations

from pathlib import Path

import click
import pytest

from mizzen.cli.answers import Key, Position, Problem
from mizzen.cli.output import Complaint, count, duration, print_problems, shown, table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_have_no_spaces_at_the_end() -> None:
    assert table(("NAME", "HOST"), [("a", "reviews"), ("longer-name", "")]) == (
        "NAME          HOST\na             reviews\nlonger-name   <none>"
    )


def test_colours_take_no_room_in_a_table() -> None:
    drawn = table(("STATE", "N"), [(click.style("ERROR", fg="red"), "1")])
    assert click.unstyle(drawn) == "STATE   N\nERROR   1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (7200, "120m"),
        (5 * 3600 + 600, "5h10m"),
        (47 * 3600, "47h"),
        (3 * 86400 + 12 * 3600, "3d12h"),
        (400 * 86400, "400d"),
        (3 * 365 * 86400 + 40 * 86400, "3y40d"),
    ],
)
def test_a_duration_is_said_as_kubectl_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_problem_says_where_what_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(
        "unknown field",
        code="UnknownField",
        position=Position(str(Path.cwd() / "reviews.yaml"), 14, 9),
        resource=Key("VirtualService", "default", "reviews"),
        path="spec.http[0].rout",
        hint="did you mean route?",
    )
    print_problems([problem])
    assert capsys.readouterr().err == (
        "reviews.yaml:14:9: error: VirtualService default/reviews: spec.http[0].rout: unknown field"
        " (did you mean route?) [UnknownField]\n"
    )


def test_a_file_elsewhere_keeps_its_whole_name() -> None:
    assert shown("/etc/mesh/reviews.yaml:3:1") == "/etc/mesh/reviews.yaml:3:1"


def test_a_file_is_shown_in_full_where_the_current_directory_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert shown("/a/b.yaml") == "/a/b.yaml"


def test_problems_are_printed_once_each_errors_first(capsys: pytest.CaptureFixture[str]) -> None:
    warning = Problem("odd", level="warning")
    error = Problem("bad")
    Complaint("2 errors", [warning, error, warning, error]).show()
    assert capsys.readouterr().err == "error: bad\nwarning: odd\nerror: 2 errors\n"


@pytest.mark.parametrize(("number", "text"), [(1, "1 proxy"), (2, "2 proxies"), (0, "0 proxies")])
def test_counting(number: int, text: str) -> None:
    assert count(number, "proxy") == text
