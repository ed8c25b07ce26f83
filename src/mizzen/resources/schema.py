"""Looking things up in the models: which model a path leads to, where else a field's name is known.

This is for messages: what a user may have meant is found in the same schema that refused it.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mizzen.resources.model import Later, Model, alias_of

Loc = tuple[str | int, ...]


def field_names(model: type[Model]) -> list[str]:
    """Returns a model's fields as users write them."""
    return [alias_of(model, name) for name in model.model_fields]


def usable_names(model: type[Model]) -> list[str]:
    """Returns the fields that have an effect here, for a message that lists what may be written."""
    return [
        alias_of(model, name)
        for name, info in model.model_fields.items()
        if info.annotation is not Any and not _is_later(info)
    ]


def model_at(model: type[Model], loc: Iterable[str | int]) -> type[Model] | None:
    """Returns the model of the value that ``loc`` leads to; None if it is no model."""
    annotation: Any = model
    for element in loc:
        annotation = _step(annotation, element)
    return _model_in(annotation)


def ancestor_with(model: type[Model], loc: Loc, name: str) -> Loc | None:
    """Returns the nearest place above ``loc`` whose model has the field: a line is indented too far."""
    for length in range(len(loc) - 1, -1, -1):
        above = model_at(model, loc[:length])
        if above is not None and name in field_names(above):
            return loc[:length]
    return None


def descendant_with(model: type[Model], name: str, deepest: int = 3) -> Sequence[str] | None:
    """Returns the fields that lead from ``model`` down to the nearest model that has the field."""
    level: list[tuple[tuple[str, ...], type[Model]]] = [((), model)]
    for _ in range(deepest):
        level = [((*path, field), inner) for path, outer in level for field, inner in _models_below(outer)]
        for path, inner in level:
            if name in field_names(inner):
                return path
    return None


def _is_later(info: FieldInfo) -> bool:
    return any(isinstance(mark, Later) and mark.whole_field for mark in info.metadata)


def _models_below(model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    for name, info in model.model_fields.items():
        inner = _model_in(info.annotation)
        if inner is not None and not _is_later(info):
            yield alias_of(model, name), inner


def _bare(annotation: Any) -> Any:
    """Takes ``Annotated`` and ``| None`` off."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not types.NoneType)
        else:
            return annotation


def _step(annotation: Any, element: str | int) -> Any:
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        for name, info in annotation.model_fields.items():
            if alias_of(annotation, name) == element:
                return info.annotation
        return None
    args = get_args(annotation)
    if not args:
        return None
    return args[0] if get_origin(annotation) is tuple else args[-1]


def _model_in(annotation: Any) -> type[Model] | None:
    """Returns the model of a field's values, or of their elements."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    args = get_args(annotation)
    if get_origin(annotation) is tuple and args:
        return _model_in(args[0])
    return _model_in(args[-1]) if args and isinstance(get_origin(annotation), type) else None
