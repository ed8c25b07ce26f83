"""Reads what ``-f`` names, as kubectl does: files, folders (their YAML and JSON files, not deeper), and ``-``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from mizzen.cli.output import Complaint, shown
from mizzen.settings import SUFFIXES, holds_resources

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "<stdin>"


def file_option(*, required: bool) -> Callable[[F], F]:
    return click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        required=required,
        metavar="FILE",
        type=click.Path(allow_dash=True),
        help="A file or folder of YAML or JSON, or - for standard input; may be repeated.",
    )


def recursive_option(function: F) -> F:
    return click.option("-R", "--recursive", is_flag=True, help="Take the folders inside folders too.")(function)


def read(names: Iterable[str], *, recursive: bool = False) -> dict[str, str]:
    """Returns the text of each file by its absolute name, in order; raises :class:`Complaint`.

    The names go to the control plane, which lives elsewhere: what a Workload says relative to its file is meant from
    there, and for standard input from the current directory.
    """
    texts: dict[str, str] = {}
    for name in names:
        if name == "-":
            texts[_absolute(STDIN)] = _decoded(STDIN, sys.stdin.buffer.read())
        elif name.startswith(("http://", "https://")):
            raise Complaint(
                f"{name} is not a file; addresses are not read", hint=f"Try: curl -sSf {name} | mizzen apply -f -"
            )
        else:
            texts.update(_files(Path(_absolute(name)), recursive=recursive))
    return texts


def _absolute(name: str) -> str:
    return os.path.abspath(name)  # noqa: PTH100 - symbolic links stay as the user knows them


def _files(path: Path, *, recursive: bool) -> dict[str, str]:
    if not path.is_dir():
        return {str(path): _text(path)}
    found = sorted(path.rglob("*") if recursive else path.glob("*"))
    texts = {str(file): _text(file) for file in found if holds_resources(file) and file.is_file()}
    if not texts:
        hint = "" if recursive else "Its folders are read with -R."
        raise Complaint(f"{shown(str(path))}: no file ends in {', '.join(SUFFIXES)}", hint=hint)
    return texts


def _text(path: Path) -> str:
    try:
        return _decoded(shown(str(path)), path.read_bytes())
    except OSError as error:
        raise Complaint(f"{shown(str(path))}: {error.strerror}") from error


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Complaint(not_text(name, error)) from error


def not_text(name: str, error: UnicodeDecodeError) -> str:
    """Returns what is wrong with a file that is not UTF-8, and in which line."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return f"{name}:{line}: not UTF-8 text; save it as UTF-8"
