"""Reads what ``mizzen analyze`` is given, with istioctl's rules: named files, folders, ``-``; other endings are skipped.

Source: istio/istio, ``istioctl/pkg/analyze/analyze.go`` (gatherFiles). Unlike :mod:`mizzen.cli.files`, names stay as
they were typed, for they stand in the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mizzen.cli.files import not_text
from mizzen.cli.output import Complaint, note
from mizzen.settings import SUFFIXES

STDIN = "-"


def read(names: Iterable[str], *, recursive: bool) -> tuple[dict[str, str], list[str]]:
    """Returns the text of each file by its name, and what is wrong with those that are no text; raises Complaint."""
    texts: dict[str, str] = {}
    unreadable: list[str] = []
    for name in names:
        for file, content in _contents(name, recursive=recursive):
            try:
                texts[file] = content.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                unreadable.append(not_text(file, error))
    return texts, unreadable


def text(name: str) -> str:
    """Returns the text of one file, whatever its name ends in; raises Complaint."""
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Complaint(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Complaint(not_text(name, error)) from error


def _contents(name: str, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if name == STDIN:
        yield STDIN, sys.stdin.buffer.read()
        return
    path = Path(name)
    try:
        files = [path] if not path.is_dir() else sorted(path.rglob("*") if recursive else path.glob("*"))
        for file in files:
            # What was named must be there; what a folder has besides files is not asked for.
            if file != path and not file.is_file():
                continue
            if file.suffix in SUFFIXES:
                yield str(file), file.read_bytes()
            elif file.is_file():
                note(f"Skipping {file}: its name ends in none of {', '.join(SUFFIXES)}.")
            else:
                yield str(file), file.read_bytes()
    except OSError as error:
        raise Complaint(f"{error.filename or name}: {error.strerror}") from error
