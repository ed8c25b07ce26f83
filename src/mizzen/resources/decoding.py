"""A document's plain values into its kind's model, and pydantic's words into words that say what to do.

Neighbours: ``yaml_documents`` gives values with their places, ``loading`` makes resources of what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mizzen.resources.findings import Finding
from mizzen.resources.manifest import Manifest
from mizzen.resources.model import WRITTEN, Model, StringMatch
from mizzen.resources.paths import path_of
from mizzen.resources.schema import Loc, ancestor_with, descendant_with, field_names, model_at, usable_names
from mizzen.resources.suggesting import listed, nearest
from mizzen.resources.yaml_values import Place, described

ManifestT = TypeVar("ManifestT", bound=Manifest[Any])

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
}


@dataclass(frozen=True)
class Decoded(Generic[ManifestT]):
    """A document as its model, and what is wrong with it.

    ``manifest`` lacks the fields that are unknown, and is None when anything else is wrong. ``usable`` then still has
    the fields that could be read, unless required ones are missing: good for looking at single fields, no more.
    """

    manifest: ManifestT | None
    usable: ManifestT | None
    findings: list[Finding]


def decode(model: type[ManifestT], value: dict[str, Any], places: dict[str, Place]) -> Decoded[ManifestT]:
    """Returns what a document's value is as ``model``; nothing is raised for any value."""
    try:
        manifest = _validated(model, value)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return Decoded(manifest, manifest, [])
    findings = list(_findings(model, value, details, places))
    wrong = [_real(detail["loc"], value) for detail in details if detail["type"] != "missing"]
    try:
        usable = _validated(model, _without(value, wrong))
    except ValidationError:
        return Decoded(None, None, findings)
    only_unknown = all(detail["type"] == "extra_forbidden" for detail in details)
    return Decoded(usable if only_unknown else None, usable, findings)


def _validated(model: type[ManifestT], value: Any) -> ManifestT:
    return model.model_validate(value, by_alias=True, by_name=False, context={WRITTEN: True})


def _without(value: Any, locs: Sequence[Loc]) -> Any:
    """Returns a copy of the value without the fields at ``locs``."""
    here = {loc[0] for loc in locs if len(loc) == 1}
    below: dict[str | int, list[Loc]] = {}
    for loc in locs:
        if len(loc) > 1:
            below.setdefault(loc[0], []).append(loc[1:])
    if isinstance(value, dict):
        return {key: _without(item, below.get(key, ())) for key, item in value.items() if key not in here}
    if isinstance(value, list):
        # A list's elements are not taken away, for the others' paths would change: they become unset.
        return [None if index in here else _without(item, below.get(index, ())) for index, item in enumerate(value)]
    return value


def _findings(
    model: type[Model], value: dict[str, Any], details: Sequence[ErrorDetails], places: dict[str, Place]
) -> Iterator[Finding]:
    expected: dict[Loc, list[str]] = {}
    for detail in details:
        loc, kind = detail["loc"], detail["type"]
        if kind == "missing":
            yield _missing(model, loc)
        elif kind == "extra_forbidden":
            yield _unknown(model, loc)
        elif kind == "one_of":
            yield Finding(path_of(_real(loc, value)), detail["msg"], code="WrongType")
        elif kind == "literal_error":
            place = _real(loc, value)
            written = places[path_of(place)].written if path_of(place) in places else None
            expected_values = str(detail.get("ctx", {}).get("expected", ""))
            yield _wrong_choice(place, detail["input"], written, expected_values)
        elif kind == "duration":
            yield _no_duration(_real(loc, value), detail["input"])
        else:
            # A field that may be a number or text has one detail for each.
            expected.setdefault(_real(loc, value), []).append(_EXPECTED.get(kind, detail["msg"]))
    for loc, wanted in expected.items():
        yield _wrong_type(model, loc, wanted, _at(value, loc), places.get(path_of(loc)))


def _real(loc: Loc, value: Any) -> Loc:
    """Returns the part of ``loc`` that stands in the document: pydantic adds the members of unions."""
    for length, element in enumerate(loc):
        try:
            value = value[element]
        except (LookupError, TypeError):
            return loc[:length]
    return loc


def _at(value: Any, loc: Loc) -> Any:
    for element in loc:
        value = value[element]
    return value


def _missing(model: type[Model], loc: Loc) -> Finding:
    fields = model_at(model, loc)
    hint = f"its fields are {listed(usable_names(fields))}" if fields else ""
    return Finding(path_of(loc), f"`{loc[-1]}` is required", code="MissingField", hint=hint)


def _unknown(model: type[Model], loc: Loc) -> Finding:
    name, outer = str(loc[-1]), model_at(model, loc[:-1])
    known = field_names(outer) if outer else []
    return Finding(path_of(loc), f"unknown field `{name}`", code="UnknownField", hint=_meant(model, loc, name, known))


def _meant(model: type[Model], loc: Loc, name: str, known: Sequence[str]) -> str:
    outer = model_at(model, loc[:-1])
    if typo := nearest(name, known, cutoff=0.85):
        return f"did you mean `{typo}`?"
    below = descendant_with(outer, name) if outer else None
    if below:
        return f"`{name}` is a field of `{'.'.join(below)}` below this: indent it under that"
    above = ancestor_with(model, loc[:-1], name)
    if above is not None:
        return f"`{name}` is a field of `{path_of(above) or 'the document'}`: check the indentation"
    if near := nearest(name, known):
        return f"did you mean `{near}`?"
    return f"the fields here are {listed(usable_names(outer))}" if outer else ""


def _wrong_choice(loc: Loc, given: Any, written: str | None, expected: str) -> Finding:
    choices = [choice.strip(" '") for choice in expected.replace(" or ", ", ").split(",")]
    near = nearest(given, choices) if isinstance(given, str) else None
    hint = f"did you mean {near}?" if near else ""
    shown = repr(given) if isinstance(given, str) else described(given, written)
    return Finding(path_of(loc), f"{shown} is none of {listed(choices)}", code="WrongType", hint=hint)


def _no_duration(loc: Loc, given: Any) -> Finding:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    hint = f'write it with its unit: "{given}s" or "{given}ms"' if number else 'write it as "1.5s" or "100ms"'
    return Finding(path_of(loc), f"{described(given)} is not a duration", code="WrongType", hint=hint)


def _wrong_type(model: type[Model], loc: Loc, wanted: Sequence[str], given: Any, place: Place | None) -> Finding:
    what = described(given, place.written if place else None)
    expected = " or ".join(dict.fromkeys(wanted))
    message = f"cannot be null: must be {expected}" if given is None else f"must be {expected}, not {what}"
    return Finding(path_of(loc), message, code="WrongType", hint=_type_hint(model_at(model, loc), wanted, given, place))


def _type_hint(model: type[Model] | None, wanted: Sequence[str], given: Any, place: Place | None) -> str:
    written = place.written if place and place.written is not None else str(given)
    if given is None:
        return "remove the field, or give it a value"
    if list(wanted) == ["text"] and isinstance(given, bool | int | float):
        return f'write it in quotes: "{written}"'
    if "a list" in wanted:
        return "put `- ` before each element"
    if model is StringMatch and isinstance(given, str):
        return f"write `exact: {given}` or `prefix: {given}` below it"
    if "a mapping" in wanted and model is not None:
        return f"its fields are {listed(usable_names(model))}"
    if isinstance(given, str) and _unquoted_fits(wanted, given):
        return "write it without quotes"
    return ""


def _unquoted_fits(wanted: Sequence[str], given: str) -> bool:
    if "true or false" in wanted:
        return given in {"true", "false"}
    return "text" not in wanted and given.strip("+-").replace(".", "", 1).isdigit()
