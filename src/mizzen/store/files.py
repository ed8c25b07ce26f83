"""Reading the files that the mesh watches: which there are, what they say, and what stays in force of them. No asyncio.

:func:`scan` compares the disk with the last scan and is told nothing else, so it does not matter how a change came to
be (written in place, renamed over, a Kubernetes config map switching its ``..data`` link) or whether an event was lost.

The rules. Of a directory, the ``*.yaml``, ``*.yml`` and ``*.json`` files count, hidden ones and subdirectories do not,
as with ``kubectl apply -f``. A file with an error stays in force as it last was, whole. So does one that cannot be read,
and one that is suddenly empty: that is a program about to write it. A file that is gone is gone after :data:`GRACE`,
since editors rename the old file away before they write the new one.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from mizzen.resources.loading import load
from mizzen.resources.problems import Level, Position, Problem, errors
from mizzen.settings import holds_resources
from mizzen.store.contents import AnyResource

# How long, in seconds, a file must be gone until its resources go.
GRACE = 0.3

# Time stamps of files advance in steps, so a file that changed this short a time ago, in nanoseconds, may have changed
# again without a trace: it is read again.
_RESTLESS = 2_000_000_000

# Nobody writes this much by hand; reading, say, a disk image by mistake should not take the memory.
_LARGEST = 16 * 1024 * 1024

_Signature: TypeAlias = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class WatchedFile:
    """One file: its last good resources, which are in force, and what is wrong with it now.

    ``name`` is its path as the user knows it. ``gone`` is when it was first missed, on the monotonic clock in seconds.
    """

    name: str
    resources: tuple[AnyResource, ...] = ()
    problems: tuple[Problem, ...] = ()
    text: str | None = field(default=None, repr=False)
    signature: _Signature | None = None
    gone: float | None = None


@dataclass(frozen=True)
class Scan:
    """What is on disk: files by absolute path in the order in which they count, problems of the paths themselves."""

    files: Mapping[str, WatchedFile]
    problems: tuple[Problem, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether a file is gone that still counts, so that another scan is due after :data:`GRACE`."""
        return any(file.gone is not None for file in self.files.values())


def scan(paths: Iterable[Path], before: Mapping[str, WatchedFile], now: float) -> Scan:
    """Reads what changed since the scan ``before``; ``now`` is the monotonic clock in seconds.

    ``paths`` are files and directories; they need not exist. Raises nothing for anything that is on the disk: what
    cannot be read is a problem.
    """
    found: dict[str, str] = {}
    real: set[str] = set()
    unreadable: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            listed = list(_list(path))
        except FileNotFoundError:
            problems.append(_path_problem(path, "it does not exist; it is read as soon as it does", "PathMissing"))
            continue
        except OSError as error:
            unreadable.append(path)
            problems.append(
                _path_problem(path, f"it cannot be read: {error.strerror}; what it said stays in force", "NotReadable")
            )
            continue
        if not listed:
            problems.append(_path_problem(path, "no file ends in .yaml, .yml or .json", "NoResources"))
        # One file that is reached in two ways, say by its own name and by its directory's, is one file.
        found |= {file.path: file.name for file in listed if file.real not in real}
        real.update(file.real for file in listed)
    read = {name: _read(name, shown, before.get(name)) for name, shown in found.items()}
    files = {name: file for name, file in read.items() if file}
    for name, file in before.items():
        if name not in files and (kept := _missed(file, now, unreadable)):
            files[name] = kept
    return Scan(files, tuple(problems))


class _Listed(NamedTuple):
    """A file that counts: its absolute path as named, its name for the user, and one name however it is reached."""

    path: str
    name: str
    real: str


def _list(path: Path) -> Iterator[_Listed]:
    # Not resolve(): a link in the path may lead elsewhere tomorrow, and the files behind it are still the same files.
    absolute = Path(os.path.abspath(path))  # noqa: PTH100
    if not stat.S_ISDIR(absolute.stat().st_mode):
        real = os.path.join(os.path.realpath(absolute.parent), absolute.name)  # noqa: PTH118
        yield _Listed(str(absolute), str(path), real)
        return
    folder = Path(os.path.realpath(absolute))
    for entry in sorted(absolute.iterdir()):
        if holds_resources(entry) and not entry.is_dir():
            yield _Listed(str(entry), str(path / entry.name), str(folder / entry.name))


def _missed(file: WatchedFile, now: float, unreadable: Iterable[Path]) -> WatchedFile | None:
    if any(Path(file.name).is_relative_to(path) for path in unreadable):
        return dataclasses.replace(file, gone=None)
    if file.gone is None:
        return dataclasses.replace(file, gone=now)
    return file if now - file.gone < GRACE else None


def _read(path: str, name: str, before: WatchedFile | None) -> WatchedFile | None:
    """Returns a file as it is now; None if it went away since it was listed."""
    before = before or WatchedFile(name)
    try:
        signature, data = _bytes(path, before.signature)
        text = data.decode("utf-8-sig") if data is not None else before.text
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(
            "YAMLSyntax", "the file is not UTF-8 text", position=Position(name, line), hint="save it as UTF-8"
        )
        return _broken(before, name, (problem,))
    except OSError as error:
        if not os.path.lexists(path):
            return None
        problem = Problem(
            "NotReadable", f"the file cannot be read: {error.strerror or error}", position=Position(name, 1)
        )
        return _broken(before, name, (problem,))
    if text == before.text or text is None:
        return dataclasses.replace(before, name=name, signature=signature, gone=None)
    return dataclasses.replace(_parsed(before, name, text), text=text, signature=signature)


def _bytes(path: str, known: _Signature | None) -> tuple[_Signature | None, bytes | None]:
    """Returns the signature and the content of a file; no content if the signature is the known one.

    The signature is None for a file that has only just changed: that says nothing about the next look.
    """
    # A named pipe would otherwise wait for a writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError("it is not a regular file")
        if facts.st_size > _LARGEST:
            raise OSError(f"it is larger than {_LARGEST >> 20} MiB")
        signature = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if signature == known:
            return signature, None
        restless = abs(time.time_ns() - facts.st_ctime_ns) < _RESTLESS
        return None if restless else signature, file.read(_LARGEST)


def _parsed(before: WatchedFile, name: str, text: str) -> WatchedFile:
    if not text.strip() and before.resources:
        problem = Problem(
            "EmptyFile",
            "the file is empty; what it said before stays in force",
            position=Position(name, 1),
            hint="delete the file if its resources should go",
        )
        return _broken(before, name, (problem,))
    loaded = load(text, name)
    if errors(loaded.problems):
        return _broken(before, name, tuple(loaded.problems))
    return WatchedFile(name, tuple(loaded.resources), tuple(loaded.problems))


def _broken(before: WatchedFile, name: str, problems: tuple[Problem, ...]) -> WatchedFile:
    """The file with its last good resources, and a word on what is in force in spite of the errors."""
    state = "what it said before stays in force" if before.resources else "nothing of it is in force"
    note = Problem(
        "LastGood", f"the file has errors; {state}", Level.WARNING, Position(name, 1), hint="correct the errors"
    )
    return WatchedFile(name, before.resources, (*problems, note))


def _path_problem(path: Path, what: str, code: str) -> Problem:
    level = Level.ERROR if code == "NotReadable" else Level.WARNING
    return Problem(code, f"{path}: {what}", level, hint="check the path and its permissions")
