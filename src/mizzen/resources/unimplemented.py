"""Finds what a user set that is published but not implemented: fields and values marked with ``Later``.

One walk over a model for all kinds, so that a field that is parsed and has no effect can only come from a missing mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mizzen.resources.findings import Finding
from mizzen.resources.model import Later, Model
from mizzen.resources.paths import join

_REMOVE = "remove it; without it the rest takes effect"


def not_implemented(model: Model, path: str, api: str) -> Iterator[Finding]:
    """Yields a finding for each marked field or value in ``model``, which stands at ``path``; ``api`` is whose it is."""
    whose = f"{api}'" if api.endswith("s") else f"{api}'s"
    for name, alias, marks, has_default_to_look_at in _fields(type(model)):
        given = name in model.model_fields_set
        if not given and not has_default_to_look_at:
            continue
        value = getattr(model, name)
        if not marks and not isinstance(value, Model | tuple | Mapping):
            continue
        field_path = join(path, alias)
        refused = list(_refused(marks, value, field_path if given else path, alias, given=given))
        for where, what in refused:
            yield Finding(
                where,
                f"{what} is part of {whose} API but not implemented yet in this version of Mizzen",
                code="NotImplemented",
                hint=_reason(marks) or (_REMOVE if given else _instead(marks, alias)),
            )
        if given and not refused:
            yield from _below(value, field_path, api)


@cache
def _fields(model: type[Model]) -> tuple[tuple[str, str, tuple[Later, ...], bool], ...]:
    """Returns the fields of a model: name, alias, marks, and whether its default may be a value that is not implemented."""
    found = []
    for name, info in model.model_fields.items():
        marks = tuple(mark for mark in info.metadata if isinstance(mark, Later))
        found.append((name, info.alias or name, marks, not all(mark.whole_field for mark in marks)))
    return tuple(found)


def _reason(marks: Sequence[Later]) -> str:
    return next((mark.reason for mark in marks if mark.reason), "")


def _instead(marks: Sequence[Later], alias: str) -> str:
    values = " or ".join(f"`{alias}: {value}`" for mark in marks for value in sorted(mark.unless))
    return f"write {values}"


def _below(value: Any, path: str, api: str) -> Iterator[Finding]:
    if isinstance(value, Model):
        yield from not_implemented(value, path, api)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _below(item, join(path, index), api)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _below(item, join(path, key), api)


def _refused(marks: Sequence[Later], value: Any, path: str, alias: str, *, given: bool) -> Iterator[tuple[str, str]]:
    """Yields the place and the name of each value of one field that is not implemented."""
    for mark in marks:
        if mark.whole_field:
            if given:
                yield path, f"`{alias}`"
        elif isinstance(value, tuple):
            refused = [(index, item) for index, item in enumerate(value) if mark.applies_to(item)]
            yield from ((join(path, index), f"the value `{item}` of `{alias}`") for index, item in refused)
        elif isinstance(value, Mapping):
            yield from ((join(path, key), f"`{key}` in `{alias}`") for key in value if mark.applies_to(key))
        elif value is not None and mark.applies_to(value):
            yield path, f"the value `{value}` of `{alias}`" if given else f"`{value}`, the default of `{alias}`,"
