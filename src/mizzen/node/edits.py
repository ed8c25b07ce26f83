"""Which edits of watched files have come into force, told where the mesh was started. Pure.

What a command applies is told by the command itself, so of that only the start is of interest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mizzen.node.events import AppliedEarlier, Event, ResourceEdited
from mizzen.registry.reports import WrittenResource


def edits(before: Sequence[WrittenResource] | None, now: Sequence[WrittenResource]) -> Iterator[Event]:
    """Yields what to tell of the resources of ``now``; ``before`` is None at the start, when all are new."""
    if before is None:
        if applied := sum(not one.file for one in now):
            yield AppliedEarlier(applied)
        return
    old, new = ({one.resource: one for one in written} for written in (before, now))
    for resource in sorted({*old, *new}):
        was, is_ = old.get(resource), new.get(resource)
        file = (is_ and is_.file) or (was and was.file)
        if not file or (was and is_ and was.digest == is_.digest):
            continue
        action = "deleted" if is_ is None else "configured" if was else "created"
        yield ResourceEdited(resource, action, file)
