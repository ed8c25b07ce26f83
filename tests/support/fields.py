"""Which fields of a kind are implemented, and documents that set each of them to two values.

A test that takes a document through what it is for, once for each field, and finds the same outcome for both values has
found a field that is read and ignored.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mizzen.resources.model import Later, Model


class Absent(enum.Enum):
    """Stands in a document for a field that is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True)
class Two:
    """Two values of one field: the one that it has while others vary, and the other one."""

    usual: Any
    other: Any


@dataclass(frozen=True)
class Variant:
    """A specification in which one field, at ``path`` (without indexes and keys), has its other value."""

    path: str
    spec: dict[str, Any]


def usual(template: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the specification of a template in which every field has its usual value."""
    spec: dict[str, Any] = _with(template, None)
    return spec


def variants(model: type[Model], template: Mapping[str, Any]) -> Iterator[Variant]:
    """Yields a specification for each pair of values in a template."""
    for path, two in _pairs(model, template, ""):
        yield Variant(path, _with(template, two))


def implemented(model: type[Model], under: str = "") -> Iterator[str]:
    """Yields the paths of all fields that have more than one value which is implemented, down to plain values."""
    for info in model.model_fields.values():
        marks = [mark for mark in info.metadata if isinstance(mark, Later)]
        if any(mark.whole_field or len(mark.unless) == 1 for mark in marks):
            continue
        path = _join(under, info)
        below = _model_in(info.annotation)
        if below is None:
            yield path
        else:
            yield from implemented(below, path)


def covered(wanted: str, varied: Collection[str]) -> bool:
    """Tells whether a path was varied: itself, or a part of it as a whole."""
    return any(wanted == path or wanted.startswith(f"{path}.") for path in varied)


def _with(template: Any, chosen: Two | None) -> Any:
    """Returns a template with the usual values, and the other one of the pair that is ``chosen``."""
    if isinstance(template, Two):
        return _with(template.other if template is chosen else template.usual, chosen)
    if isinstance(template, Mapping):
        made = {name: _with(value, chosen) for name, value in template.items()}
        return {name: value for name, value in made.items() if value is not ABSENT}
    if isinstance(template, list):
        return [item for item in (_with(value, chosen) for value in template) if item is not ABSENT]
    return template


def _pairs(annotation: Any, template: Any, path: str) -> Iterator[tuple[str, Two]]:
    annotation = _bare(annotation)
    if isinstance(template, Two):
        yield path, template
    elif annotation is Any:  # what stands there has no fields of ours
        return
    elif isinstance(template, list):
        for item in template:
            yield from _pairs(get_args(annotation)[0], item, path)
    elif isinstance(template, Mapping):
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            for value in template.values():
                yield from _pairs(get_args(annotation)[-1], value, path)
            return
        for info in annotation.model_fields.values():
            if info.alias in template:
                yield from _pairs(info.annotation, template[info.alias], _join(path, info))


def _join(path: str, info: FieldInfo) -> str:
    return f"{path}.{info.alias}" if path else str(info.alias)


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not types.NoneType)
    return annotation


def _model_in(annotation: Any) -> type[Model] | None:
    """Returns the model of a field, or of the elements of its list or mapping."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    inner = [arg for arg in get_args(annotation) if arg is not Ellipsis]
    return _model_in(inner[-1]) if inner else None
