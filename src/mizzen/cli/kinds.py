"""Kinds of resources by the names that users type; the table itself is the resources package's, imported late."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mizzen.cli.output import Complaint

CONTAINERS = ("containers", "container", "ctr")
"""How containers are called, which are no resources; they are listed and named as if they were."""

_ALL = "all"
_WHAT_RUNS = "See: mizzen get workloads; mizzen status; mizzen containers"
_KUBECTL_SHORT = frozenset({"po", "deploy", "sts", "ds", "rs", "cj"})


@dataclass(frozen=True)
class KindName:
    """How one kind is called; ``group`` is "" for Kubernetes' core."""

    kind: str
    plural: str
    group: str
    implemented: bool = True

    @property
    def qualified(self) -> str:
        """The name that kubectl prints before a resource's own: ``virtualservice.networking.istio.io``, ``service``."""
        singular = self.kind.lower()
        return f"{singular}.{self.group}" if self.group else singular


def kind(text: str) -> KindName:
    """Finds a kind by any of its names, also with its group (``vs``, ``virtualservices.networking.istio.io``)."""
    from mizzen.resources.kinds import find_kind

    name, _, group = text.partition(".")
    found = find_kind(name)
    # A group may carry the version first, as kubectl allows: virtualservices.v1.networking.istio.io
    if found is None or (group and group.split(".", 1)[-1] != found.group and group != found.group):
        raise Complaint(f"there is no kind {text!r}", hint=_hint(name))
    return KindName(found.kind, found.plural, found.group, found.implemented)


def kinds(text: str) -> list[KindName]:
    """Finds several kinds, separated by commas; ``all`` are all that Mizzen implements."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    if _ALL in named:
        return implemented()
    found = dict.fromkeys(kind(name) for name in named)
    for each in found:
        if not each.implemented:
            raise Complaint(f"{each.kind} is not implemented yet", hint=f"Implemented: {_known()}.")
    return list(found)


def workload(text: str) -> str:
    """Returns the name in ``NAME`` or ``TYPE/NAME`` (``workload/NAME``, ``container/NAME``), where what runs is meant."""
    type_, slash, name = text.rpartition("/")
    if slash and type_ not in CONTAINERS and (found := kind(type_)).kind != "Workload":
        raise Complaint(
            f"{text}: a {found.kind} is nothing that runs",
            hint=f"Write workload/NAME, or the name alone. {_WHAT_RUNS}.",
        )
    if not name:
        raise Complaint(f"{text!r} names no workload", hint=f"{_WHAT_RUNS}.")
    return name


def container(text: str) -> str:
    """Returns the name in ``NAME`` or ``container/NAME``, as they are listed."""
    type_, slash, name = text.partition("/")
    return name if slash and type_ in CONTAINERS else text


def implemented() -> list[KindName]:
    from mizzen.resources.kinds import IMPLEMENTED

    return [KindName(each.kind, each.plural, each.group) for each in IMPLEMENTED]


def names() -> list[tuple[str, str]]:
    """Returns what users may type for each kind, with the kind's own name beside it."""
    from mizzen.resources.kinds import IMPLEMENTED

    return [(name, each.kind) for each in IMPLEMENTED for name in each.names]


def _hint(name: str) -> str:
    if _runs_in_kubernetes(name.lower()):
        return f"Here a Workload says what runs. {_WHAT_RUNS}."
    known = dict(names())
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Kinds: {_known()}."


def _runs_in_kubernetes(name: str) -> bool:
    from mizzen.resources.kinds import KUBERNETES_WORKLOADS

    return name in _KUBECTL_SHORT or name.removesuffix("s") in {kind.lower() for kind in KUBERNETES_WORKLOADS}


def _known() -> str:
    return ", ".join(each.plural for each in implemented())
