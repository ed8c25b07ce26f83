"""Puts things among others, takes them away and replaces them, in the ways that an EnvoyFilter may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from typing import Any

from mizzen.compile.patches.patch import Patch


def rewrite(field: Any, messages: Iterable[Any]) -> None:
    """Gives a repeated field these messages."""
    kept = list(messages)
    del field[:]
    field.extend(kept)


def apply_to_list(
    items: MutableSequence[Any],
    patch: Patch,
    matches: Callable[[Any], bool],
    *,
    named: bool,
    end: int | None = None,
    first_needs_match: bool = False,
) -> bool:
    """Applies an operation that is no merge to a list; tells whether it changed something.

    ``named`` says that the patch names an item: else what it inserts is put first or at the ``end``, which is where
    something may still be added. As in Istio, ADD does not ask for the item that is named, and INSERT_FIRST only where
    ``first_needs_match``.
    """
    found = next((at for at, item in enumerate(items) if matches(item)), None) if named else None
    end = len(items) if end is None else end
    operation = patch.operation
    if operation == "REMOVE":
        kept = [item for item in items if not (named and matches(item))]
        changed = len(kept) < len(items)
        items[:] = kept
        return changed
    if operation == "REPLACE":
        if found is not None:
            items[found] = patch.message()
        return found is not None
    free = {"ADD"} if first_needs_match else {"ADD", "INSERT_FIRST"}
    if named and found is None and operation not in free:
        return False
    places = {"INSERT_BEFORE": found or 0, "INSERT_FIRST": 0}
    after = end if found is None else found + 1
    at = places.get(operation, after if operation == "INSERT_AFTER" else end)
    items.insert(at, patch.message())
    return True
