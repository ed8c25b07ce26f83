"""Makes one service of all that were found under one name: by containers, and by what `mizzen run` has started. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mizzen.registry.container_labels import SERVICE_PREFIX
from mizzen.registry.reports import FoundPort, FoundService, Instance, Report
from mizzen.resources.protocols import declared_protocol


def service_of_run(name: str, namespace: str, ports: Iterable[tuple[int, str]], account: str) -> FoundService:
    """Returns the service that a run offers; ``ports`` are numbers and names, which say the protocol."""
    return FoundService(
        name=name,
        namespace=namespace,
        ports=tuple(FoundPort(number=number, name=name) for number, name in ports),
        selector=service_labels((name,)),
        accounts=(account,),
        of_run=True,
    )


def service_labels(services: Iterable[str]) -> dict[str, str]:
    """Returns the labels by which services that nobody wrote select what is behind them."""
    return {SERVICE_PREFIX + service: "true" for service in services}


def behind(service: FoundService, instances: Iterable[Instance]) -> list[Instance]:
    """Returns the instances that a service selects."""
    return [
        one
        for one in instances
        if one.namespace == service.namespace and service.selector.items() <= one.labels.items()
    ]


def of_ended_runs(report: Report) -> frozenset[tuple[str, str]]:
    """Returns the services that runs offered of which none is left, by namespace and name."""
    offered = [one for one in report.services if one.of_run]
    return frozenset((one.namespace, one.name) for one in offered if not behind(one, report.instances))


def united(services: Iterable[FoundService]) -> tuple[tuple[FoundService, ...], tuple[str, ...]]:
    """Returns one service for each name, with all its ports and accounts; and in words what they disagree about.

    Where they disagree on the protocol of a port, bytes are passed, which suits every protocol.
    """
    ordered = sorted(services, key=_name)
    groups = [list(group) for _, group in groupby(ordered, key=_name)]
    problems = [problem for group in groups for problem in _disagreements(group)]
    return tuple(_united(group) for group in groups), tuple(problems)


def _name(service: FoundService) -> tuple[str, str]:
    return (service.namespace, service.name)


def _united(group: Sequence[FoundService]) -> FoundService:
    if len(group) == 1:
        return group[0]
    first = group[0]
    ports: dict[int, FoundPort] = {}
    for port in (port for one in group for port in one.ports):
        known = ports.setdefault(port.number, port)
        if _protocol(known) != _protocol(port):
            ports[port.number] = FoundPort(number=port.number, name=f"tcp-{port.number}", app_protocol="tcp")
    return FoundService(
        name=first.name,
        namespace=first.namespace,
        ports=tuple(ports[number] for number in sorted(ports)),
        selector=first.selector,
        accounts=tuple(sorted({account for one in group for account in one.accounts})),
        of_run=all(one.of_run for one in group),
        aliases=tuple(sorted({alias for one in group for alias in one.aliases})),
    )


def _disagreements(group: Sequence[FoundService]) -> Iterator[str]:
    said: dict[int, set[str]] = {}
    for port in (port for one in group for port in one.ports):
        said.setdefault(port.number, set()).add(_protocol(port))
    for number, protocols in sorted(said.items()):
        if len(protocols) > 1:
            words = " and ".join(sorted(protocols))
            yield f"service {group[0].name}: port {number} is said to be {words}; it is tcp until all say the same"
    if len({tuple(one.selector) for one in group}) > 1:
        yield f"service {group[0].name}: a container is called that as well, by a name that no label can have; rename one"


def _protocol(port: FoundPort) -> str:
    protocol = declared_protocol(port.name, port.app_protocol)
    return protocol.lower() if protocol else "tcp"
