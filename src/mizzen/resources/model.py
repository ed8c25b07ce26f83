"""What all models of users' resources share: a strict, frozen base, and the field types of Istio's and Kubernetes' APIs.

A model is the written form of a specification and nothing more: camelCase in YAML, snake_case in Python, unknown fields
refused, no coercion (a quoted number is not a number). ``null`` means unset, as in Kubernetes. What a field means is in
``validation`` and in the packages above this one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

ItemT = TypeVar("ItemT")

WRITTEN = "written"
"""The key of pydantic's validation context that says that the values come from a user's file."""


class Model(BaseModel):
    """The base of all models of users' resources.

    ``ONE_OF`` names groups of fields (in Python's spelling) of which at most one may be set.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            return {name: item for name, item in value.items() if item is not None}
        return value

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        for group in self.ONE_OF:
            given = [name for name in group if name in self.model_fields_set]
            if len(given) > 1:
                names = " and ".join(f"`{alias_of(type(self), name)}`" for name in given)
                raise PydanticCustomError(
                    "one_of", "{names} cannot be set together: keep one of them", {"names": names}
                )
        return self

    def to_document(self) -> dict[str, Any]:
        """Returns the model as users write it: camelCase, durations as text, only what was set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def alias_of(model: type[BaseModel], name: str) -> str:
    """Returns the name under which users write a field."""
    return model.model_fields[name].alias or name


@dataclasses.dataclass(frozen=True)
class Later:
    """Marks a field of a published API that Mizzen does not implement yet: setting it is an error that says so.

    With ``only``, ``unless`` or ``prefix`` just these values, all other values, or values (or keys of a mapping) with
    that prefix are not implemented; in a list each element is looked at. ``reason`` says why, and what to do instead.
    """

    only: Collection[str] = ()
    unless: Collection[str] = ()
    prefix: str = ""
    reason: str = ""

    @property
    def whole_field(self) -> bool:
        return not (self.only or self.unless or self.prefix)

    def applies_to(self, value: object) -> bool:
        """Says whether this value (or key) is not implemented."""
        if self.whole_field:
            return True
        if self.prefix:
            return isinstance(value, str) and value.startswith(self.prefix)
        if self.only:
            return value in self.only
        return value not in self.unless


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Many = Annotated[tuple[ItemT, ...], BeforeValidator(_tuple)]
"""A list in YAML, a tuple in Python."""

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> float:
    """Returns the seconds of a duration in Go's form (``1.5s``, ``100ms``, ``1h30m``), which is what Istio accepts.

    Raises ValueError when the text is none.
    """
    if text in {"0", "+0", "-0"}:
        return 0.0
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration")
    nanoseconds = sum(Fraction(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(found[2]))
    return float(nanoseconds / 10**9) * (-1 if found[1] == "-" else 1)


def format_duration(seconds: float) -> str:
    """Returns a duration as protobuf's JSON form writes it: ``1.5s``."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _duration(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            raise PydanticCustomError("duration", "is not a duration") from None
    # Python code gives seconds; in a file a bare number is refused, for nobody can see its unit.
    if isinstance(value, float) and not (info.context and info.context.get(WRITTEN)):
        return value
    raise PydanticCustomError("duration", "is not a duration")


Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str)]
"""Seconds in Python, text such as ``1.5s`` in YAML."""

StringMap = Mapping[str, str]


class StringMatch(Model):
    """Istio's StringMatch: one of three ways to compare; none of them, where Istio allows it, asks for presence."""

    ONE_OF = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class PortSelector(Model):
    number: int = 0


class Percent(Model):
    value: float = 0.0


class WorkloadSelector(Model):
    match_labels: StringMap = Field(default_factory=dict)
