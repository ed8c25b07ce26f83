"""What every command prints with: tables as kubectl draws them, problems as compilers list them, YAML and JSON.

Text goes to stdout when it is the answer and to stderr when it is about the answer, so that pipes stay clean. Colours
appear on terminals alone, and never with NO_COLOR (https://no-color.org); click takes them out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mizzen.cli.answers import Problem

_COLORS = {"error": "red", "warning": "yellow", "info": "blue"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Below how many seconds a length of time is said in which units; "" where the small one is left out.
_STEPS = (
    (2 * _MINUTE, "s", 1, "", 1),
    (10 * _MINUTE, "m", _MINUTE, "s", 1),
    (3 * _HOUR, "m", _MINUTE, "", 1),
    (8 * _HOUR, "h", _HOUR, "m", _MINUTE),
    (2 * _DAY, "h", _HOUR, "", 1),
    (8 * _DAY, "d", _DAY, "h", _HOUR),
    (2 * 365 * _DAY, "d", _DAY, "", 1),
)


class Complaint(click.ClickException):
    """Ends a command with exit code 1: what went wrong, where, and what to do; then the problems, if there are any."""

    exit_code = 1

    def __init__(self, message: str, problems: Sequence[Problem] = (), hint: str = "") -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.hint = hint

    def show(self, file: Any = None) -> None:
        del file  # click's interface; complaints go to stderr
        print_problems(self.problems)
        if self.message:
            _say(f"{click.style('error:', fg='red', bold=True)} {self.message}")
        if self.hint:
            _say(f"  {self.hint}")


def _say(line: str) -> None:
    # A complaint is shown when click's context, which knows whether colours are wanted, is gone.
    click.echo(line, err=True, color=False if os.environ.get("NO_COLOR") else None)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lays out columns with three spaces between them, as kubectl does; never cut to the width of a terminal."""
    lines = [list(headers), *([cell or "<none>" for cell in row] for row in rows)]
    widths = [max(len(click.unstyle(line[column])) for line in lines) for column in range(len(headers))]
    return "\n".join("   ".join(map(_pad, line, widths)).rstrip() for line in lines)


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - len(click.unstyle(cell)))


def note(text: str) -> None:
    """Prints a remark that is not the answer itself."""
    click.echo(text, err=True)


def print_problems(problems: Iterable[Problem]) -> None:
    """Prints each problem once, on stderr: errors first, then warnings, in the order in which they came."""
    unique = dict.fromkeys(problems)
    for problem in sorted(unique, key=lambda problem: list(_COLORS).index(problem.level)):
        _say(_line(problem))


def shown(file: str) -> str:
    """Returns the name of a file as people like to read it: from where they are, if it is below."""
    try:
        return file.removeprefix(f"{Path.cwd()}/")
    except FileNotFoundError:
        return file  # The current directory was removed.


def _line(problem: Problem) -> str:
    where = f"{click.style(shown(str(problem.position)), bold=True)}: " if problem.position else ""
    level = click.style(f"{problem.level}:", fg=_COLORS[problem.level], bold=True)
    what = f" {problem.resource}:" if problem.resource else ""
    field = f" {problem.path}:" if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    code = click.style(f" [{problem.code}]", dim=True) if problem.code else ""
    # Where a whole file or folder is the matter, the message begins with its name.
    return f"{where}{level}{what}{field} {shown(problem.message)}{hint}{code}"


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: object) -> str:
    """Writes YAML in the order of the value's keys, without a last line break."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return str(text).removesuffix("\n")


def duration(seconds: float) -> str:
    """Says a length of time as kubectl does in its AGE columns: ``42s``, ``3m5s``, ``12m``, ``5h10m``, ``3d12h``."""
    left = max(int(seconds), 0)
    for below, unit, size, small_unit, small_size in _STEPS:
        if left < below:
            big, small = divmod(left, size)
            small //= small_size
            return f"{big}{unit}{f'{small}{small_unit}' if small and small_unit else ''}"
    years, rest = divmod(left, 365 * _DAY)
    return f"{years}y{rest // _DAY}d"


def labels(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


def on_terminal() -> bool:
    """Whether a person watches: both streams are a terminal, and it can move its cursor."""
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def count(number: int, noun: str) -> str:
    """Says ``1 proxy`` or ``3 proxies``."""
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {plural}"
