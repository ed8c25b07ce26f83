"""Records of the database and resources: one becomes the other without a loss."""

from __future__ import annotations

import dataclasses

from tests.unit.store.written import documents, key, resource, virtual_service

from mizzen.resources.loading import load
from mizzen.resources.problems import Position
from mizzen.store.database import Origin
from mizzen.store.stored import delete_command, parse, record, stored


def test_a_record_becomes_the_resource_that_it_was() -> None:
    text = documents(virtual_service("a"), "# a comment\n" + virtual_service("b", 2))
    for one in load(text, "two.yaml").resources:
        kept = record(one, Origin.APPLIED)
        again, problems = parse(kept.key, kept.text, kept.file, kept.line)
        assert again == one
        assert problems == ()
        assert again is not None
        assert again.source == one.source
        assert again.source.position("spec.http[0].timeout") == one.source.position("spec.http[0].timeout")


def test_a_problem_in_a_stored_text_is_placed_in_the_file_it_came_from() -> None:
    text = virtual_service("a").replace("timeout", "tiemout")
    again, problems = parse(key("a"), text, "mesh.yaml", 41)
    assert again is None
    assert [problem.position for problem in problems] == [Position("mesh.yaml", 51, 5)]


def test_a_text_that_became_another_resource_is_not_that_resource() -> None:
    again, _ = parse(key("a"), virtual_service("b"), "mesh.yaml", 1)
    assert again is None


def test_broken_records_of_files_are_left_to_the_files() -> None:
    good = record(resource("a"), Origin.FILE)
    broken = dataclasses.replace(good, key=key("b"), text="kind: [")
    now = stored(3, {key("a"): 1, key("b"): 2}, [good, broken])
    assert list(now.files) == [key("a")]
    assert now.broken == {}


def test_the_command_that_deletes() -> None:
    assert delete_command(key("a", "shop")) == "`mizzen delete virtualservice a --namespace shop`"
