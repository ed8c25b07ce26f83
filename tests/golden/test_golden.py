"""Each folder of ``cases`` is a case: resources in ``input.yaml``, and what the proxies in ``case.yaml`` receive.

``make golden`` rewrites the ``expected`` files; read the difference before you commit it.
"""

from __future__ import annotations

import os

import pytest
from tests.support.cases import Case, cases

from mizzen.compile.compiler import Compiler

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    compiler = Compiler()
    for proxy in case.subjects():
        text = case.rendered(compiler.compile(proxy, case.snapshot))
        expected = case.folder / f"{proxy.id}.expected.yaml"
        if os.environ.get("GOLDEN") == "write":
            expected.write_text(text)
        assert text == expected.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_expected_file_is_left_over(case: Case) -> None:
    wanted = {f"{proxy.id}.expected.yaml" for proxy in case.subjects()}
    assert {path.name for path in case.folder.glob("*.expected.yaml")} == wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_pattern_of_a_case_shows_something(case: Case) -> None:
    texts = [case.rendered(Compiler().compile(proxy, case.snapshot)) for proxy in case.subjects()]
    assert all(len(text) > 10 for text in texts)


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
