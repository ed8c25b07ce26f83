"""Kubernetes' LabelSelector: ``matchLabels`` and ``matchExpressions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mizzen.analysis.values import labels, mappings, selects, text, texts


def matches(selector: Any, given: Mapping[str, str]) -> bool:
    """Says whether a selector takes something with these labels; none, and an empty one, take everything."""
    if not selects(labels(selector, "matchLabels"), given):
        return False
    return all(
        _holds(text(one, "key"), text(one, "operator"), texts(one, "values"), given)
        for one in mappings(selector, "matchExpressions")
    )


def _holds(key: str, operator: str, values: object, given: Mapping[str, str]) -> bool:
    listed = values if isinstance(values, list) else []
    match operator:
        case "In":
            return given.get(key) in listed
        case "NotIn":
            return given.get(key) not in listed
        case "Exists":
            return key in given
        case "DoesNotExist":
            return key not in given
        case _:
            return False
