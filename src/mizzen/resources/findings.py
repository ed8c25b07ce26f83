"""What a rule has to say about one field; the loader adds the file, the line and the resource."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.resources.problems import Level


@dataclass(frozen=True)
class Finding:
    """``path`` is the field (``spec.http[0].timeout``); an empty ``code`` stands for the kind's usual one.

    ``other`` is the field that it does not go with, if there is one; ``in_vain`` as of a :class:`Problem`.
    """

    path: str
    message: str
    level: Level = Level.ERROR
    hint: str = ""
    code: str = ""
    other: str = ""
    in_vain: bool = False


def warning(path: str, message: str, hint: str = "", code: str = "") -> Finding:
    return Finding(path, message, Level.WARNING, hint, code)


def useless(path: str, message: str, hint: str, code: str, other: str) -> Finding:
    """Returns a warning of what has no effect because of another field."""
    return Finding(path, message, Level.WARNING, hint, code, other, in_vain=True)
