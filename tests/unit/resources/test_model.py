from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.kinds import IMPLEMENTED
from mizzen.resources.model import WRITTEN, Model, format_duration, parse_duration
from mizzen.resources.schema import field_names
from mizzen.resources.virtual_service import HTTPRoute, VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("1h30m", 5400.0),
        ("0s", 0.0),
        ("0", 0.0),
        ("1us", 0.000001),
        ("-1s", -1.0),
        (".5s", 0.5),
        ("7200s", 7200.0),
    ],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1.5", "s", "1 s", "1d", "1.5.5s", "one second", "1s2"])
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_in_milliseconds_survives_writing_and_reading(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


def test_python_code_gives_seconds_and_files_give_text() -> None:
    assert HTTPRoute(timeout=1.5).to_document() == {"timeout": "1.5s"}
    with pytest.raises(ValidationError):
        HTTPRoute.model_validate({"timeout": 1.5}, context={WRITTEN: True})


def test_models_are_frozen_and_refuse_unknown_fields() -> None:
    spec = WorkloadSpec(command=("sleep", "1"))
    with pytest.raises(ValidationError):
        spec.replicas = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        WorkloadSpec.model_validate({"command": ["sleep"], "replica": 1})


def test_null_is_unset() -> None:
    spec = VirtualServiceSpec.model_validate({"hosts": ["a"], "http": None})
    assert spec.to_document() == {"hosts": ["a"]}


def test_nothing_is_coerced() -> None:
    for value in ("1", 1.0, True):
        with pytest.raises(ValidationError):
            WorkloadSpec.model_validate({"command": ["sleep"], "replicas": value})


VALUES = st.fixed_dictionaries(
    {"destination": st.fixed_dictionaries({"host": st.text(max_size=5)}, optional={"subset": st.text(max_size=3)})},
    optional={"weight": st.integers(0, 100)},
)
ROUTES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=5),
        "match": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "uri": st.fixed_dictionaries({"prefix": st.text(max_size=5)}),
                    "headers": st.dictionaries(st.text(max_size=4), st.fixed_dictionaries({"exact": st.text()})),
                    "ignoreUriCase": st.booleans(),
                },
            ),
            max_size=2,
        ),
        "route": st.lists(VALUES, max_size=2),
        "timeout": st.integers(0, 10**6).map(lambda milliseconds: format_duration(milliseconds / 1000)),
    },
)


@given(st.fixed_dictionaries({"hosts": st.lists(st.text(max_size=5))}, optional={"http": st.lists(ROUTES, max_size=3)}))
def test_what_is_read_is_written_again(document: dict[str, Any]) -> None:
    spec = VirtualServiceSpec.model_validate(document, by_alias=True, by_name=False)
    assert spec.to_document() == document
    assert VirtualServiceSpec.model_validate(spec.to_document()) == spec


def _models(model: type[Model], seen: set[type[Model]]) -> set[type[Model]]:
    from mizzen.resources.schema import _models_below

    for _, inner in _models_below(model):
        if inner not in seen:
            seen.add(inner)
            _models(inner, seen)
    return seen


def test_every_field_is_named_as_in_yaml() -> None:
    for kind in IMPLEMENTED:
        assert kind.model is not None
        for model in _models(kind.model, {kind.model}):
            assert all("_" not in name and name[0].islower() for name in field_names(model)), model


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (DestinationRuleSpec, "host trafficPolicy subsets exportTo workloadSelector"),
        (VirtualServiceSpec, "hosts gateways http tls tcp exportTo"),
        (
            HTTPRoute,
            """
            name match route redirect directResponse delegate rewrite timeout retries fault mirror mirrors
            mirrorPercentage mirrorPercent corsPolicy headers
            """,
        ),
    ],
)
def test_the_whole_schema_is_there(model: type[Model], names: str) -> None:
    assert set(field_names(model)) == set(names.split())
