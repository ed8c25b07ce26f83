"""What stands in a field, in the words of ``tests/golden/istio_fields.yaml``."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mizzen.resources.model import Duration, Model

_SCALARS = {str: "text", int: "integer", float: "number", bool: "boolean"}
_DURATION = get_args(Duration)[1:]


def written(model: type[Model]) -> dict[str, str]:
    """Returns what stands in each field of a model, by the name that users write."""
    return {
        info.alias or name: "text" if all(part in info.metadata for part in _DURATION) else _shape(info.annotation)
        for name, info in model.model_fields.items()
    }


def _shape(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "text" if args[1:] == _DURATION else _shape(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_shape(arg) for arg in args if arg is not types.NoneType)
    if origin is Literal:
        return "|".join(sorted(value for value in args if value))
    if origin is tuple:
        return f"list of {_shape(args[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map of {_shape(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation.__name__
    return _SCALARS.get(annotation, "any")
