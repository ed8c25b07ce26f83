"""The tables of ``mizzen get``: one per kind, with the columns that kubectl shows for it. Pure functions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from mizzen.cli import kinds
from mizzen.cli.output import duration, labels, shown, table

if TYPE_CHECKING:
    from mizzen.registry.reports import Instance

Item: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class _Layout:
    """The columns of one kind; those of ``wide`` are added with -o wide."""

    headers: tuple[str, ...]
    row: Callable[[Item, Sequence[Instance]], tuple[str, ...]]
    wide_headers: tuple[str, ...] = ()
    wide_row: Callable[[Item, Sequence[Instance]], tuple[str, ...]] = lambda _item, _instances: ()


def render(items: Sequence[Item], instances: Sequence[Instance], *, wide: bool, namespaces: bool, mixed: bool) -> str:
    """Draws a table for each kind among the items; with ``mixed`` names carry their kind, as in ``kubectl get all``."""
    by_kind: dict[str, list[Item]] = {}
    for item in items:
        by_kind.setdefault(item["kind"], []).append(item)
    return "\n\n".join(
        _table(kind, group, instances, wide=wide, namespaces=namespaces, mixed=mixed) for kind, group in by_kind.items()
    )


def _table(
    kind: str, items: Sequence[Item], instances: Sequence[Instance], *, wide: bool, namespaces: bool, mixed: bool
) -> str:
    layout = _LAYOUTS.get(kind, _Layout((), lambda _item, _instances: ()))
    prefix = f"{kinds.kind(kind).qualified}/" if mixed else ""
    headers = (*(("NAMESPACE",) if namespaces else ()), "NAME", *layout.headers)
    headers += (*layout.wide_headers, "ACCEPTED", "SOURCE") if wide else ()
    rows = []
    for item in items:
        metadata = item["metadata"]
        row = ((metadata["namespace"],) if namespaces else ()) + (prefix + metadata["name"],)
        row += layout.row(item, instances)
        row += (*layout.wide_row(item, instances), _accepted(item), _source(item)) if wide else ()
        rows.append(row)
    return table(headers, rows)


def _accepted(item: Item) -> str:
    conditions = (item.get("status") or {}).get("conditions") or []
    found = next((condition for condition in conditions if condition.get("type") == "Accepted"), None)
    if found is None:
        return "Unknown"
    return "True" if found.get("status") == "True" else f"False ({found.get('reason') or 'no reason given'})"


def _source(item: Item) -> str:
    source = item.get("source") or {}
    if not source.get("file"):
        return ""
    # What was found, and nobody wrote, stands in no line.
    return f"{shown(source['file'])}:{source['line']}" if source.get("line") else str(source["file"])


def _list(values: Sequence[str] | None) -> str:
    """Writes a list as the Kubernetes API server's printer columns do for Istio's kinds: as JSON without spaces."""
    return json.dumps(list(values), separators=(",", ":")) if values else ""


def _virtual_service(item: Item, _instances: Sequence[Instance]) -> tuple[str, ...]:
    return _list(item["spec"].get("gateways")), _list(item["spec"].get("hosts"))


def _destination_rule(item: Item, _instances: Sequence[Instance]) -> tuple[str, ...]:
    return (str(item["spec"].get("host", "")),)


def _subsets(item: Item, _instances: Sequence[Instance]) -> tuple[str, ...]:
    return (_list([subset["name"] for subset in item["spec"].get("subsets") or []]),)


def _service(item: Item, _instances: Sequence[Instance]) -> tuple[str, ...]:
    spec = item["spec"]
    ports = ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or [])
    address = (item.get("status") or {}).get("address") or spec.get("clusterIP") or ""
    return address, ports, labels(spec.get("selector") or {})


def _workload(item: Item, instances: Sequence[Instance]) -> tuple[str, ...]:
    mine = _instances_of(item, instances)
    wanted = int(item["spec"].get("replicas", 1))
    ready = sum(instance.ready for instance in mine)
    restarts = sum(instance.restarts for instance in mine)
    started = min((instance.started for instance in mine if instance.started), default=0.0)
    age = duration(time.time() - started) if started else ""
    return f"{ready}/{wanted}", _phase(mine, wanted), str(restarts), age


def _phase(mine: Sequence[Instance], wanted: int) -> str:
    """Says what the worst of the replicas does; one word where all do the same."""
    if not mine:
        return "Stopped" if wanted == 0 else "Pending"
    phases = dict.fromkeys(instance.phase for instance in mine)
    if "Backoff" in phases:
        return "Backoff"
    return "/".join(phases)


def _secret(item: Item, _instances: Sequence[Instance]) -> tuple[str, ...]:
    return str(item.get("type", "")), ",".join(item.get("stringData") or {})


def _workload_wide(item: Item, instances: Sequence[Instance]) -> tuple[str, ...]:
    spec = item["spec"]
    names = ",".join(instance.name for instance in _instances_of(item, instances))
    return names, str(spec.get("serviceAccount", "default")), " ".join(map(str, spec.get("command") or []))


def _instances_of(item: Item, instances: Sequence[Instance]) -> list[Instance]:
    metadata = item["metadata"]
    return [
        instance
        for instance in instances
        if instance.workload == metadata["name"] and instance.namespace == metadata["namespace"]
    ]


_LAYOUTS: Mapping[str, _Layout] = {
    "VirtualService": _Layout(("GATEWAYS", "HOSTS"), _virtual_service),
    "DestinationRule": _Layout(("HOST",), _destination_rule, ("SUBSETS",), _subsets),
    "Service": _Layout(("CLUSTER-IP", "PORT(S)", "SELECTOR"), _service),
    "Secret": _Layout(("TYPE", "HOLDS"), _secret),
    "Workload": _Layout(
        ("READY", "STATUS", "RESTARTS", "AGE"),
        _workload,
        ("INSTANCES", "SERVICE-ACCOUNT", "COMMAND"),
        _workload_wide,
    ),
}
