"""The model of ``mizzen.dev/v1alpha1`` Workload: what runs without Kubernetes, in Kubernetes' field names.

A Workload is a command with replicas; its labels, in the metadata, are those of its replicas. ``$(PORT)`` in the command
and the environment variable ``PORT`` carry the port that the application must listen on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from mizzen.resources.model import Later, Many, Model


class EnvVar(Model):
    name: str
    value: str = ""


class ContainerPort(Model):
    name: str = ""
    container_port: int
    protocol: Annotated[Literal["TCP", "UDP", "SCTP"], Later(unless={"TCP"})] = "TCP"
    app_protocol: str | None = None


class HTTPHeader(Model):
    name: str
    value: str = ""


class HTTPGetAction(Model):
    """``port`` is a number or the name of one of the workload's ports; ``host`` defaults to the workload itself."""

    path: str = "/"
    port: int | str
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: Many[HTTPHeader] = ()


class TCPSocketAction(Model):
    port: int | str
    host: str = ""


class ExecAction(Model):
    command: Many[str]


class Probe(Model):
    """How to ask whether an application is ready, or alive; times are whole seconds, defaults are Kubernetes'."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    exec: ExecAction | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


class WorkloadGateway(Model):
    """``address`` is where it listens: on the host, on one of its addresses or (``0.0.0.0``) on all."""

    address: str = "127.0.0.1"


class WorkloadSpec(Model):
    """A relative ``working_dir`` is relative to the file in which the Workload stands.

    ``proxy`` says who serves its replicas: an Envoy of their own or the one of their node; "" is what the mesh prefers.
    A ``gateway`` is a proxy without an application: of the other fields it has replicas, an account and a grace period.
    """

    command: Many[str] = ()
    working_dir: str = ""
    env: Many[EnvVar] = ()
    ports: Many[ContainerPort] = ()
    replicas: int = 1
    service_account: str = "default"
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    termination_grace_period_seconds: int = 30
    proxy: Literal["", "sidecar", "node"] = ""
    gateway: WorkloadGateway | None = None

    def port_number(self, port: int | str) -> int | None:
        """Returns the number of a port given by number or by name; None when no declared port has that name."""
        if isinstance(port, int):
            return port
        return next((declared.container_port for declared in self.ports if declared.name == port), None)


def working_folder(spec: WorkloadSpec, file: str) -> Path:
    """Returns where the application runs: relative to its file, so that a mesh can be started from anywhere."""
    return (Path(file).parent / spec.working_dir).resolve()
