"""What a rule has to say about one field; the loader adds the file, the line and the resource."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.resources.problems import Level


@dataclass(frozen=True)
class Finding:
    """``path`` is the field (``spec.http[0].timeout``); an empty ``code`` stands for the kind's usual one."""

    path: str
    message: str
    level: Level = Level.ERROR
    hint: str = ""
    code: str = ""


def warning(path: str, message: str, hint: str = "", code: str = "") -> Finding:
    return Finding(path, message, Level.WARNING, hint, code)
