from __future__ import annotations

import difflib
from typing import Any

import pytest

from mizzen.resources.suggesting import Guesses, nearest


def test_case_and_separators_do_not_count() -> None:
    assert nearest("Product_Page", ["product-page", "details"]) == "product-page"
    assert nearest("ratings", ["details"]) is None


def test_guesses_are_those_of_the_nearest_name() -> None:
    guesses = Guesses()
    assert [guesses.nearest(name, ["reviews", "details"]) for name in ("review", "detials", "ratings", "review")] == [
        "reviews",
        "details",
        None,
        "reviews",
    ]


def test_unknown_names_among_many_are_not_all_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = difflib.get_close_matches

    def counted(word: str, possibilities: Any, **options: Any) -> list[str]:
        compared.append(len(possibilities))
        return real(word, possibilities, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    known = [f"service-{number}" for number in range(2000)]
    guesses = Guesses()
    found = [guesses.nearest(f"servce-{number}", known) for number in range(2000)]
    assert found[0] == "service-0"
    assert sum(compared) <= 100_000
