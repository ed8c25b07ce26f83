"""Istio's annotations on Kubernetes' resources: known, in their place, and with a value that can be read.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/annotations``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.annotation_table import ANNOTATIONS
from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.world import World
from mizzen.resources.paths import join
from mizzen.resources.suggesting import nearest

_KINDS = ("Namespace", "Service", "Pod", "Deployment")
_INJECT = "sidecar.istio.io/inject"


def on_resources(world: World) -> Iterator[Message]:
    """IST0107, IST0108, IST0125 and IST0135."""
    for kind in _KINDS:
        for item in world.of(kind):
            for name, value in item.annotations.items():
                if name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith("istio.io"):
                    yield from _annotation(item, name, value)


def _annotation(item: Item, name: str, value: str) -> Iterator[Message]:
    path = join("metadata.annotations", name)
    known = ANNOTATIONS.get(name)
    if known is None:
        near = nearest(name, ANNOTATIONS, cutoff=0.85)
        hint = f"; did you mean {near}?" if near else ""
        yield message("IST0108", item, path, f"Istio has no annotation {name}{hint}")
        return
    # Who has the label too knows of it, and keeps the annotation for something old.
    if known.deprecated and not (name == _INJECT and name in item.labels):
        instead = "; the label of that name takes its place" if name == _INJECT else ""
        yield message("IST0135", item, path, f"the annotation {name} is deprecated{instead}")
    if known.kinds and item.kind not in known.kinds:
        where = " or ".join(known.kinds)
        template = "; for a Deployment's pods it belongs into the template" if item.kind == "Deployment" else ""
        yield message("IST0107", item, path, f"the annotation {name} has its place on a {where}{template}")
    elif wrong := known.problem(value):
        yield message("IST0125", item, path, f"the value of the annotation {name} cannot be read: {wrong}")
