from __future__ import annotations

import textwrap
from typing import Any

import pytest

from mizzen.resources.problems import Position, Problem
from mizzen.resources.yaml_documents import Document, documents


def read(text: str, first_line: int = 1) -> list[Document | Problem]:
    return list(documents(textwrap.dedent(text).lstrip("\n"), "f.yaml", first_line))


def only(text: str) -> Document:
    (document,) = read(text)
    assert isinstance(document, Document)
    return document


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("on", True),
        ("y", True),
        ("off", False),
        ("'yes'", "yes"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-1", -1),
        ("010", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("'1'", "1"),
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("v1", "v1"),
        ("1.5s", "1.5s"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(written: str, value: Any) -> None:
    read = only(f"a: {written}\nb: 1").value["a"]
    assert read == value
    assert type(read) is type(value)


def test_keys_that_are_numbers_become_text_and_other_keys_are_refused() -> None:
    document = only("1: a\non: b\n? [x]\n: c\n")
    assert document.value == {"1": "a"}
    assert [problem.message for problem in document.problems] == [
        "the key 'on' is a boolean in YAML, not text",
        "a key must be text",
    ]


def test_every_field_has_its_place() -> None:
    document = only("""
        # a comment
        spec:
          http:
          - route: {a: 1}
          labels:
            app.io/name: x
        """)
    places = {path: (str(place.key), str(place.best)) for path, place in document.places.items()}
    assert places == {
        "": ("f.yaml:2:1", "f.yaml:2:1"),
        "spec": ("f.yaml:2:1", "f.yaml:2:1"),
        "spec.http": ("f.yaml:3:3", "f.yaml:3:3"),
        "spec.http[0]": ("f.yaml:4:5", "f.yaml:4:5"),
        "spec.http[0].route": ("f.yaml:4:5", "f.yaml:4:5"),
        "spec.http[0].route.a": ("f.yaml:4:13", "f.yaml:4:16"),
        "spec.labels": ("f.yaml:5:3", "f.yaml:5:3"),
        "spec.labels[app.io/name]": ("f.yaml:6:5", "f.yaml:6:18"),
    }


def test_lines_count_from_the_line_that_the_text_begins_with() -> None:
    (first, second) = read("a: 1\n---\nb: 2\n", first_line=10)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.line, second.line) == (10, 12)
    assert second.places["b"].key == Position("f.yaml", 12, 1)


def test_a_duplicate_key_names_both_lines() -> None:
    (problem,) = only("a: 1\nb: 2\na: 3\n").problems
    assert str(problem) == (
        "f.yaml:3:1: error: a: the key 'a' is written twice; the first is in line 1 (keep one of them) [DuplicateKey]"
    )


def test_empty_documents_are_left_out() -> None:
    assert [document.value for document in read("---\n---\na: 1\n---\n# nothing\n---\n~\n")] == [{"a": 1}]  # type: ignore[union-attr]


def test_a_syntax_error_does_not_hide_the_other_documents() -> None:
    first, broken, last = read("""
        a: 1
        ---
        b: [
        ---
        c: 3
        """)
    assert isinstance(first, Document)
    assert isinstance(broken, Problem)
    assert isinstance(last, Document)
    assert (broken.code, broken.position) == ("YAMLSyntax", Position("f.yaml", 4, 1))
    assert last.value == {"c": 3}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1\n", "a tab stands in the indentation"),
        ("a: b: c\n", "check the indentation of this line, or put quotes"),
        ("a:\n  b: 1\n c: 2\n", "check the indentation of this line and of the line above"),
        ("a: *x\n", "a value that begins with * must stand in quotes"),
        ("a: @x\n", "put quotes around the value"),
    ],
)
def test_syntax_errors_say_what_to_do(text: str, hint: str) -> None:
    (problem,) = read(text)
    assert isinstance(problem, Problem)
    assert hint in problem.hint


def test_the_text_of_a_document_reads_the_same_by_itself() -> None:
    text = """
        # a comment
        ---
        a: &x {b: 1}
        c: *x
        --- # another
        d: |
          text
          more
        """
    for document in read(text):
        assert isinstance(document, Document)
        (again,) = documents(document.text, "f.yaml", document.line)
        assert again == document


def test_the_items_of_a_list_are_documents_of_their_own() -> None:
    text = """
        apiVersion: v1
        kind: List
        items:
        - kind: A
          spec:
            x: 1
        - {kind: B}
        """
    first, second = read(text)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.value, first.line, first.text) == (
        {"kind": "A", "spec": {"x": 1}},
        4,
        "  kind: A\n  spec:\n    x: 1\n",
    )
    assert (second.value, second.line, second.text) == ({"kind": "B"}, 7, "  {kind: B}\n")
    assert list(documents(first.text, "f.yaml", first.line)) == [first]


def test_the_items_of_a_typed_list_have_its_kind_and_version() -> None:
    text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualServiceList
        items:
        - metadata: {name: a}
        - {apiVersion: networking.istio.io/v1beta1, kind: VirtualService, metadata: {name: b}}
        """
    first, second = read(text)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert first.value == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "a"},
    }
    assert (first.line, first.places["metadata.name"].best) == (4, Position("f.yaml", 4, 20))
    assert second.value["apiVersion"] == "networking.istio.io/v1beta1"
    (again,) = documents(first.text, "f.yaml")
    assert isinstance(again, Document)
    assert again.value == first.value


@pytest.mark.parametrize("kind", ["List", "ServiceList"])
@pytest.mark.parametrize("items", ["", "[]", "~"])
def test_a_list_may_have_no_items(kind: str, items: str) -> None:
    assert read(f"kind: {kind}\napiVersion: v1\nitems: {items}\n") == []


def test_an_item_that_is_no_resource_is_named() -> None:
    found = read("kind: List\nitems:\n- kind: A\n- reviews.yaml\n-\n- [1]\n")
    assert [str(one) for one in found if isinstance(one, Problem)] == [
        f"f.yaml:{line}: error: {path}: the items of a List are resources; this is {what} (an item is a mapping with "
        "`apiVersion`, `kind`, `metadata` and `spec`) [WrongType]"
        for line, path, what in [
            ("4:3", "items[1]", "the text 'reviews.yaml'"),
            ("5:2", "items[2]", "null"),
            ("6:3", "items[3]", "a list"),
        ]
    ]
    assert len(found) == 4


def test_an_item_that_needs_an_anchor_elsewhere_has_a_text_of_its_own() -> None:
    _, second = read("kind: List\nitems:\n- a: &x {b: 1}\n- c: *x\n")
    assert isinstance(second, Document)
    (again,) = documents(second.text, "f.yaml")
    assert isinstance(again, Document)
    assert again.value == {"c": {"b": 1}}


def test_merge_keys_bring_what_a_mapping_does_not_say_itself() -> None:
    document = only("base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  b: 3\n")
    assert document.value["use"] == {"b": 3, "a": 1}
    assert document.places["use.a"].value == Position("f.yaml", 1, 17)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a\n  <<: *a\n",
        "\n".join(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]" if i else "a0: &a0 1" for i in range(40)),
    ],
)
def test_aliases_without_end_are_a_problem(text: str) -> None:
    (problem,) = documents(text, "f.yaml")
    assert isinstance(problem, Problem)
    assert problem.message == "the aliases (*) of this document repeat without end"


def test_a_document_without_aliases_may_have_any_number_of_values() -> None:
    (document,) = documents("a: [" + "{b: 1}," * 60_000 + "]", "f.yaml")
    assert isinstance(document, Document)
    assert (len(document.value["a"]), document.problems) == (60_000, ())


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 5000 + "a", "{a: " * 5000, "[" * 101 + "]" * 101])
def test_values_nested_too_deep_are_a_problem_and_no_crash(text: str) -> None:
    (problem,) = documents(text, "f.yaml")
    assert isinstance(problem, Problem)
    assert problem.code == "YAMLSyntax"


_NO_NUMBERS = ["9" * 5000, "-0x" + "f" * 5000, "0b" + "1" * 20_000, "0x_", "!!int x", "!!float y"]


@pytest.mark.parametrize("number", _NO_NUMBERS)
def test_a_number_that_python_cannot_read_or_write_is_a_problem(number: str) -> None:
    (document,) = documents(f"a: {number}", "f.yaml")
    assert isinstance(document, Document)
    (problem,) = document.problems
    assert problem.message.endswith("is no number that can be used")
    assert len(problem.message) < 200


@pytest.mark.parametrize("text", ["a: \ud800", "a: \x00", "%YAML 1.1\n", "!!python/object:os.system x", "a: .nan"])
def test_no_text_raises(text: str) -> None:
    for document in documents(text, "f.yaml"):
        assert isinstance(document, Problem) or document.problems
