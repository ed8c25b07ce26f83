"""Writes the reference of users' resources: a page for each kind, made of its models, and the table of all deviations.

What a field is called, what it takes and whether it works comes from the models. Why a field is refused, or what it does
otherwise than in Istio, is written by hand in ``docs/reference/deviations.yaml``; the tests keep the two in step.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from mizzen.resources import validation
from mizzen.resources.kinds import KINDS, Kind
from mizzen.resources.model import Duration, Later, Model

FOLDER = Path(__file__).parent.parent.parent / "docs" / "reference"
DEVIATIONS = FOLDER / "deviations.yaml"
_SCALARS = {str: "text", int: "number", float: "number", bool: "true or false"}
_DURATION = get_args(Duration)[1:]


@dataclass(frozen=True)
class Field:
    """A field as a user sees it; ``refused`` is "" if all of it works, "all", or the values that are refused."""

    model: str
    name: str
    takes: str
    refused: str

    @property
    def path(self) -> str:
        return f"{self.model}.{self.name}"


@dataclass(frozen=True)
class Note:
    """What is written by hand of a field: why it is refused, or ``refused`` (the values), or otherwise than in Istio."""

    why: str
    refused: str = ""


Notes = Mapping[str, Note]

EVERYWHERE = "every kind"
"""Where ``deviations.yaml`` has what is of no single field."""


def described() -> list[Kind]:
    """Returns the kinds that have a page."""
    return [kind for kind in KINDS if kind.model is not None]


def read_deviations() -> dict[str, dict[str, Note]]:
    """Returns, by kind and by field (``Model.field``), what is written by hand; of a kind without fields, by ``""``."""
    loaded: dict[str, dict[str, str | dict[str, str]]] = yaml.safe_load(DEVIATIONS.read_text())
    return {
        kind: {path: Note(**given) if isinstance(given, dict) else Note(given) for path, given in notes.items()}
        for kind, notes in loaded.items()
    }


def refused_by_rules() -> set[str]:
    """Returns the fields of which some values are refused by a rule (``findings.unsupported``), from the source."""
    return {ast.literal_eval(call.args[1]) for call in _calls_in_rules() if ast.unparse(call.func) == "unsupported"}


def refused_without_a_field() -> list[str]:
    """Returns the calls in rules that refuse what is not implemented, and do not say of which field it is."""
    given = ((call, {one.arg: ast.unparse(one.value) for one in call.keywords}) for call in _calls_in_rules())
    return [ast.unparse(call) for call, named in given if "NotImplemented" in named.get("code", "")]


def _calls_in_rules() -> Iterator[ast.Call]:
    for path in sorted(Path(validation.__file__).parent.glob("*.py")):
        yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def models(model: type[Model], *, refused: bool = False) -> list[type[Model]]:
    """Returns a model and all that its fields hold, each once, in the order in which a reader meets them.

    What only a refused field holds is there with ``refused``.
    """
    found: dict[type[Model], None] = {}

    def visit(one: type[Model]) -> None:
        if one in found:
            return
        found[one] = None
        for info in one.model_fields.values():
            if refused or _refused(_marks(info)) != "all":
                for below in _models_in(info.annotation):
                    visit(below)

    visit(model)
    return list(found)


def fields(model: type[Model]) -> Iterator[Field]:
    """Yields the fields of one model."""
    for name, info in model.model_fields.items():
        refused = _refused(_marks(info))
        # What a field would take that is refused as a whole has no heading on the page.
        yield Field(model.__name__, info.alias or name, _takes(info, linked=refused != "all"), refused)


def page(kind: Kind, notes: Notes) -> str:
    """Returns the page of a kind, in Markdown."""
    assert kind.model is not None
    versions = ", ".join(f"`{version}`" for version in kind.api_versions)
    lines = [f"# {kind.kind}", "", f"{versions}. What it is for: [resources](../resources.md).", ""]
    if whole := notes.get(""):
        lines += [whole.why, ""]
    for model in models(kind.model):
        title = "spec" if model is kind.model else model.__name__
        lines += [f"## {title}", ""]
        if summary := _summary(model):
            lines += [summary, ""]
        if not model.model_fields:
            lines += ["No fields.", ""]
            continue
        lines += ["| field | takes | notes |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {one.takes} | {_says(one, notes)} |" for one in fields(model)]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def index(deviations: Mapping[str, Notes]) -> str:
    """Returns the first page: all kinds, and the table of all that is not as in Istio."""
    lines = [
        "# Reference",
        "",
        "A page for each kind: its fields, what they take, and whether they work. These pages are made of the models that",
        "Mizzen reads resources with (`make golden`), so they cannot be out of step. A field of Istio's that does not work is an",
        "error that names it; nothing is read and ignored.",
        "",
        "| kind | group |",
        "|---|---|",
        *(f"| [{kind.kind}]({page_name(kind)}) | `{kind.group or 'v1'}` |" for kind in described()),
        "",
        "## Compatibility with Istio",
        "",
        "All other published fields of these kinds work as in Istio. What is not so:",
        "",
        "| kind | field | what | why |",
        "|---|---|---|---|",
    ]
    for kind in described():
        assert kind.model is not None
        seen = {one.path: one for model in models(kind.model) for one in fields(model)}
        for path, note in deviations.get(kind.kind, {}).items():
            if path:
                lines.append(f"| {kind.kind} | `{path}` | {_status(seen[path], note)} | {note.why} |")
    for what, note in deviations[EVERYWHERE].items():
        lines.append(f"| every kind | {what} | {_status(None, note)} | {note.why} |")
    lines += ["", "Kinds that Mizzen knows and refuses:", "", "| kind | instead |", "|---|---|"]
    lines += [f"| {kind.kind} | {kind.instead or 'not yet'} |" for kind in KINDS if kind.model is None]
    return "\n".join(lines) + "\n"


def page_name(kind: Kind) -> str:
    return f"{kind.kind.lower()}.md"


def _says(one: Field, notes: Notes) -> str:
    note = notes.get(one.path)
    if note is None:
        return _status(one, None) if one.refused else ""
    return f"{_status(one, note)}: {note.why}" if one.refused or note.refused else note.why


def _status(one: Field | None, note: Note | None) -> str:
    if one and one.refused == "all":
        return "refused"
    refused = "; ".join(values for values in (one.refused if one else "", note.refused if note else "") if values)
    return f"refused: {refused}" if refused else "differs"


def _marks(info: FieldInfo) -> list[Later]:
    return [mark for mark in info.metadata if isinstance(mark, Later)]


def _refused(marks: Collection[Later]) -> str:
    if any(mark.whole_field for mark in marks):
        return "all"
    parts = []
    for mark in marks:
        if mark.only:
            parts.append(", ".join(f"`{value}`" for value in sorted(mark.only)))
        if mark.unless:
            parts.append("all but " + ", ".join(f"`{value}`" if value else "nothing" for value in sorted(mark.unless)))
        if mark.prefix:
            parts.append(f"`{mark.prefix}…`")
    return "; ".join(parts)


def _takes(info: FieldInfo, *, linked: bool) -> str:
    kind = "duration" if all(part in info.metadata for part in _DURATION) else _type(info.annotation, linked=linked)
    given = info.default
    return f"{kind}; default `{given}`" if given and isinstance(given, str | int | float) else kind


def _type(annotation: Any, *, linked: bool) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "duration" if args[1:] == _DURATION else _type(args[0], linked=linked)
    if origin in (Union, types.UnionType):
        given = [arg for arg in args if arg is not types.NoneType]
        return " or ".join(_type(arg, linked=linked) for arg in given)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in args if value != "")
    if origin is tuple:
        return f"list of {_type(args[0], linked=linked)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map of text to {_type(args[1], linked=linked)}"
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})" if linked else annotation.__name__
    return _SCALARS.get(annotation, "anything")


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for arg in get_args(annotation):
        yield from _models_in(arg)


def _summary(model: type[Model]) -> str:
    """Returns the first paragraph of a model's docstring, which is of what users write, as Markdown."""
    text = model.__dict__.get("__doc__") or ""
    summary = inspect.cleandoc(text).partition("\n\n")[0].replace("\n", " ")
    # What the code says to its readers leads nowhere here.
    summary = re.sub(r" \(see :mod:`[^`]+`\)", "", summary)
    for name, info in model.model_fields.items():
        summary = summary.replace(f"``{name}``", f"``{info.alias or name}``")
    return summary.replace("``", "`")
