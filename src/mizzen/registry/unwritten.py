"""Resources that nobody wrote: what a node has found, in the form in which users write it. Pure.

So whoever knows only what users write (which host a rule means, which workload a subset selects) knows it as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import msgspec

from mizzen.registry.reports import FoundService, Instance, Report
from mizzen.resources.key import Key
from mizzen.resources.resource import Resource, Source
from mizzen.resources.service import ServicePort, ServiceSpec
from mizzen.resources.workload import ContainerPort, WorkloadSpec

# Where such a resource "stands".
FOUND = Source("the container engine", 1, "")
RUN = Source("mizzen run", 1, "")


def found_services(report: Report) -> dict[Key, Resource[ServiceSpec]]:
    """Returns the services that a node has found."""
    made = (_service(one) for one in report.services)
    return {one.key: one for one in made}


def found_workloads(report: Report, written: Collection[Key]) -> dict[Key, Resource[WorkloadSpec]]:
    """Returns what runs and is of no Workload that was ``written``, each instance as a workload of its own name.

    Nothing is to run because of it.
    """
    unwritten = [one for one in report.instances if Key("Workload", one.namespace, one.workload) not in written]
    return {one.key: one for one in map(_workload, unwritten)}


def _service(found: FoundService) -> Resource[ServiceSpec]:
    ports = tuple(
        ServicePort(name=port.name, port=port.number, app_protocol=port.app_protocol or None) for port in found.ports
    )
    spec = ServiceSpec(selector=found.selector, ports=ports)
    digest = hashlib.sha256(msgspec.json.encode(found)).hexdigest()[:16]
    key = Key("Service", found.namespace, found.name)
    return Resource(key, "v1", digest, spec, source=RUN if found.of_run else FOUND)


def _workload(found: Instance) -> Resource[WorkloadSpec]:
    ports = tuple(
        ContainerPort(name=port.name, container_port=port.number, app_protocol=port.app_protocol or None)
        for port in found.ports
    )
    spec = WorkloadSpec(command=(), ports=ports, service_account=found.service_account)
    key = Key("Workload", found.namespace, found.name)
    return Resource(key, "mizzen.dev/v1alpha1", found.digest, spec, labels=found.labels, source=FOUND)
