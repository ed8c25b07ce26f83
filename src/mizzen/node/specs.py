"""What the node reads out of a Workload resource: the replicas' revision, and the probes of one replica. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from mizzen.node import probes
from mizzen.node.capturing import DeclaredPort
from mizzen.node.ports import LOOPBACK
from mizzen.node.probes import Rule
from mizzen.registry.proxy_settings import ProxySettings
from mizzen.registry.reports import DesiredWorkload, GatewaySocket, InstancePort
from mizzen.resources import workload as resource

# How often an application that has never been ready is asked, in seconds; a command costs a process each time.
HURRY = 0.05
HURRY_COMMAND = 0.25


class SpecError(Exception):
    """A desired workload that this node cannot read: it and its control plane are of different versions."""


@dataclass(frozen=True)
class Revision:
    """Two replicas of a workload with the same revision are the same; another revision replaces them."""

    digest: str
    restarts: int = 0


@dataclass(frozen=True)
class Workload:
    """A desired workload, decoded. Without a ``proxy`` it is none of a resource, and its Envoy is started as the host says."""

    namespace: str
    name: str
    revision: Revision
    spec: resource.WorkloadSpec
    labels: Mapping[str, str] = field(default_factory=dict)
    sockets: tuple[GatewaySocket, ...] = ()
    proxy: ProxySettings | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    @property
    def ports(self) -> tuple[DeclaredPort, ...]:
        return tuple(DeclaredPort(port.container_port, port.name) for port in self.spec.ports)

    @property
    def grace(self) -> float:
        return float(self.spec.termination_grace_period_seconds)


def read(desired: DesiredWorkload) -> Workload:
    """Decodes a desired workload; raises :class:`SpecError`."""
    try:
        spec = resource.WorkloadSpec.model_validate(desired.spec)
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise SpecError(f"this version of Mizzen cannot read its spec ({fields}): restart the mesh") from error
    revision = Revision(desired.digest, desired.restarts)
    return Workload(
        desired.namespace,
        desired.name,
        revision,
        spec,
        desired.labels,
        desired.sockets,
        desired.proxy,
    )


def readiness(spec: resource.WorkloadSpec, ports: Iterable[InstancePort]) -> probes.Probe | None:
    """Returns the readiness probe: the one that is declared, or that the first port accepts connections, or none."""
    ports = tuple(ports)
    if spec.readiness_probe:
        return _probe(spec, spec.readiness_probe, ports)
    return probes.Probe(probes.TcpSocket(ports[0].application)) if ports else None


def liveness(spec: resource.WorkloadSpec, ports: Iterable[InstancePort]) -> probes.Probe | None:
    return _probe(spec, spec.liveness_probe, tuple(ports)) if spec.liveness_probe else None


def hurry(probe: probes.Probe) -> float:
    return HURRY_COMMAND if isinstance(probe.action, probes.Exec) else HURRY


def _probe(spec: resource.WorkloadSpec, probe: resource.Probe, ports: tuple[InstancePort, ...]) -> probes.Probe:
    rule = Rule(
        initial_delay=probe.initial_delay_seconds,
        period=probe.period_seconds,
        timeout=probe.timeout_seconds,
        success_threshold=probe.success_threshold,
        failure_threshold=probe.failure_threshold,
    )
    return probes.Probe(_action(spec, probe, ports), rule)


def _action(
    spec: resource.WorkloadSpec, probe: resource.Probe, ports: tuple[InstancePort, ...]
) -> probes.HttpGet | probes.TcpSocket | probes.Exec:
    if get := probe.http_get:
        headers = tuple((header.name, header.value) for header in get.http_headers)
        port = _application_port(spec, get.port, ports)
        return probes.HttpGet(port, get.path, get.host or LOOPBACK, get.scheme == "HTTPS", headers)
    if tcp := probe.tcp_socket:
        return probes.TcpSocket(_application_port(spec, tcp.port, ports), tcp.host or LOOPBACK)
    assert probe.exec, "validation asks for exactly one action"
    return probes.Exec(tuple(probe.exec.command))


def _application_port(spec: resource.WorkloadSpec, port: int | str, ports: tuple[InstancePort, ...]) -> int:
    """Probes name declared ports; the application listens on what it was given for them. Others are taken literally."""
    number = spec.port_number(port)
    assert number is not None, "validation knows the names of ports"
    return next((declared.application for declared in ports if declared.number == number), number)
