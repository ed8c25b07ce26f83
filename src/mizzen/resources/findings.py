"""What a rule has to say about one field; the loader adds the file, the line and the resource."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.resources.paths import join
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


def unsupported(parent: str, field: str, message: str, hint: str = "", *, key: int | str | None = None) -> Finding:
    """Returns an error of a value, below ``parent``, that the published API allows and Mizzen does not.

    ``field`` is the model's (``Server.bind``), and ``key`` the element of it that is refused. Each such field is in
    docs/reference/deviations.yaml, of which a test takes care.
    """
    path = join(parent, field.rpartition(".")[2])
    return Finding(path if key is None else join(path, key), message, hint=hint, code="NotImplemented")


def useless(path: str, message: str, hint: str, code: str, other: str) -> Finding:
    """Returns a warning of what has no effect because of another field."""
    return Finding(path, message, Level.WARNING, hint, code, other, in_vain=True)
