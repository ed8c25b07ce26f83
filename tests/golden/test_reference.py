"""The pages of ``docs/reference`` say what the models say; ``make golden`` writes them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from tests.support.published import written
from tests.support.reference import (
    FOLDER,
    described,
    fields,
    index,
    models,
    page,
    page_name,
    read_deviations,
    refused_by_rules,
    refused_without_a_field,
)

from mizzen.resources.kinds import NETWORKING, Kind

DEVIATIONS = read_deviations()
ISTIO: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(Path(__file__).with_name("istio_fields.yaml").read_text())


def _check(path: Path, text: str) -> None:
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("kind", described(), ids=lambda kind: kind.kind)
def test_each_kind_has_a_page(kind: Kind) -> None:
    _check(FOLDER / page_name(kind), page(kind, DEVIATIONS.get(kind.kind, {})))


@pytest.mark.parametrize("kind", described(), ids=lambda kind: kind.kind)
def test_the_links_of_a_page_lead_to_its_headings(kind: Kind) -> None:
    text = page(kind, DEVIATIONS.get(kind.kind, {}))
    headings = {heading.lower() for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\(#(.+?)\)", text)) - headings == set()


def test_the_index() -> None:
    _check(FOLDER / "README.md", index(DEVIATIONS))


def test_no_page_is_left_over() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == {page_name(kind) for kind in described()} | {"README.md"}


@pytest.mark.parametrize("kind", described(), ids=lambda kind: kind.kind)
def test_what_is_refused_has_a_reason(kind: Kind) -> None:
    assert kind.model is not None
    every = {one.path: one for model in models(kind.model) for one in fields(model)}
    refused = {path for path, one in every.items() if one.refused}
    noted = set(DEVIATIONS.get(kind.kind, {})) - {""}
    assert refused - noted == set(), "say why in docs/reference/deviations.yaml"
    assert noted - set(every) == set(), "docs/reference/deviations.yaml names what there is not"
    by_rules = {path for path, note in DEVIATIONS.get(kind.kind, {}).items() if note.refused}
    assert refused_by_rules() & set(every) == by_rules, "say in docs/reference/deviations.yaml which values are refused"


def test_what_rules_refuse_is_of_some_kind() -> None:
    every = {one.path for kind in described() if kind.model for model in models(kind.model) for one in fields(model)}
    assert refused_by_rules() - every == {"ObjectMeta.annotations"}
    assert refused_without_a_field() == [], "call `findings.unsupported`"


@pytest.mark.parametrize("kind", [kind for kind in described() if kind.kind in ISTIO], ids=lambda kind: kind.kind)
def test_every_field_of_istio_is_there(kind: Kind) -> None:
    """What is there works or is refused by name; that it has an effect is for tests/unit/compile/test_every_field.py."""
    assert kind.model is not None
    every = {model.__name__: model for model in models(kind.model, refused=True)}
    for message, published in ISTIO[kind.kind].items():
        found = written(every[message])
        refused = {one.name for one in fields(every[message]) if one.refused == "all"}
        # What is refused whatever it says needs no model.
        assert published.keys() - found.keys() == set(), message
        assert {name: found[name] for name in published.keys() - refused} == {
            name: shape for name, shape in published.items() if name not in refused
        }, message


@pytest.mark.parametrize("kind", [kind for kind in described() if kind.kind in ISTIO], ids=lambda kind: kind.kind)
def test_what_istio_does_not_publish_is_in_a_model_of_its_own(kind: Kind) -> None:
    """A field that Istio renames or drops does not stay unseen, and what is Mizzen's is below ``mizzen``."""
    assert kind.model is not None
    every = {model.__name__: model for model in models(kind.model, refused=True)}
    more = {
        f"{message}.{name}"
        for message, published in ISTIO[kind.kind].items()
        for name in written(every[message]).keys() - published.keys()
    }
    assert more == ({"MeshConfigSpec.mizzen"} if kind.kind == "MeshConfig" else set())


def test_all_kinds_for_traffic_are_compared() -> None:
    assert set(ISTIO) <= {kind.kind for kind in described()}
    assert {kind.kind for kind in described() if kind.group == NETWORKING} | {"MeshConfig"} <= set(ISTIO)
