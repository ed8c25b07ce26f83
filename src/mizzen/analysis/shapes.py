"""The published forms of kinds that have no model yet, and what in a value does not have that form.

A form is plain data: ``TEXT``, ``WHOLE``, ``NUMBER``, ``BOOLEAN`` and ``ANY`` for values, a tuple for the names of an
enumeration, a list for lists, a mapping for fields, with the key ``*`` where fields may have any name. As protobuf's JSON
form allows, a number may stand in quotes, an enumeration's value may be a number, a field may have its name in snake case,
and null means unset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from mizzen.resources.findings import Finding
from mizzen.resources.paths import join
from mizzen.resources.suggesting import nearest

TEXT, WHOLE, NUMBER, BOOLEAN, ANY = "text", "a whole number", "a number", "true or false", "anything"

Form = str | tuple[str, ...] | list[Any] | dict[str, Any]


def deviations(value: Any, form: Form, path: str) -> Iterator[Finding]:
    """Yields what in ``value``, which stands at ``path``, has not the form."""
    if value is None or form == ANY:
        return
    if isinstance(form, dict):
        yield from _mapping(value, form, path)
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield Finding(path, f"must be a list, not {_what(value)}", hint="put `- ` before each element")
            return
        for index, one in enumerate(value):
            yield from deviations(one, form[0], join(path, index))
    elif isinstance(form, tuple):
        if not (isinstance(value, str) and value in form) and not _is_whole(value):
            near = nearest(str(value), form)
            hint = f"did you mean {near}?" if near else ""
            yield Finding(path, f"{value!r} is none of {', '.join(form)}", hint=hint)
    elif not _fits(value, form):
        yield Finding(path, f"must be {form}, not {_what(value)}")


def _mapping(value: Any, form: Mapping[str, Any], path: str) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(path, f"must be a mapping, not {_what(value)}", hint=_fields(form))
        return
    for name, one in value.items():
        inner = form.get(name, form.get(to_camel(name), form.get("*")))
        if inner is None:
            near = nearest(name, form)
            hint = f"did you mean `{near}`?" if near else _fields(form)
            yield Finding(join(path, name), f"unknown field `{name}`", hint=hint)
        else:
            yield from deviations(one, inner, join(path, name))


def _fields(form: Mapping[str, Any]) -> str:
    return "" if "*" in form else f"the fields here are {', '.join(f'`{name}`' for name in form)}"


def _fits(value: Any, form: str) -> bool:
    if form == TEXT:
        return isinstance(value, str)
    if form == BOOLEAN:
        return isinstance(value, bool)
    if form == WHOLE:
        return _is_whole(value) or (isinstance(value, str) and value.lstrip("-").isdecimal())
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _what(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"{value!r}"
