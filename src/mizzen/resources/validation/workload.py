"""The rules for Workloads, which are Kubernetes' for containers (``pkg/apis/core/validation``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mizzen.resources.findings import Finding, warning
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.model import alias_of
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.service import target_port
from mizzen.resources.workload import Probe, WorkloadGateway, WorkloadSpec

_OF_GATEWAYS = frozenset({"gateway", "replicas", "service_account", "termination_grace_period_seconds"})
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def workload(spec: WorkloadSpec) -> Iterator[Finding]:
    if spec.gateway:
        yield from _gateway(spec, spec.gateway)
    else:
        yield from _command("spec.command", spec.command)
    if "\0" in spec.working_dir:
        yield Finding("spec.workingDir", "a path cannot contain a null character")
    yield from _env(spec)
    yield from _ports(spec)
    if spec.replicas < 0:
        yield Finding("spec.replicas", "replicas must be 0 or more")
    if spec.termination_grace_period_seconds < 0:
        yield Finding("spec.terminationGracePeriodSeconds", "terminationGracePeriodSeconds must be 0 or more")
    if not names.is_dns_subdomain(spec.service_account):
        message = f"{spec.service_account!r} is not a valid name of a service account (DNS-1123 subdomain)"
        yield Finding("spec.serviceAccount", message)
    yield from _probe("spec.readinessProbe", spec.readiness_probe, spec)
    yield from _probe("spec.livenessProbe", spec.liveness_probe, spec)
    if spec.liveness_probe is not None and spec.liveness_probe.success_threshold != 1:
        yield Finding("spec.livenessProbe.successThreshold", "a liveness probe's successThreshold must be 1")


def _gateway(spec: WorkloadSpec, given: WorkloadGateway) -> Iterator[Finding]:
    for name in sorted(spec.model_fields_set - _OF_GATEWAYS):
        alias = alias_of(WorkloadSpec, name)
        message = f"a gateway runs no application, so `{alias}` has no meaning beside `gateway`"
        yield Finding(f"spec.{alias}", message, hint="remove it, or move it to a Workload of its own")
    if not is_ip_address(given.address):
        hint = "write 127.0.0.1 for this host alone, 0.0.0.0 for all its addresses"
        yield Finding("spec.gateway.address", f"{given.address!r} is not a valid IP address", hint=hint)


def _command(path: str, command: tuple[str, ...]) -> Iterator[Finding]:
    if not command or not command[0]:
        hint = "write the program and its arguments as a list: `command: [python3, app.py]`"
        yield Finding(path, "a command needs a program to run", hint=hint)
    for index, argument in enumerate(command):
        if "\0" in argument:
            yield Finding(join(path, index), "an argument cannot contain a null character")


def _env(spec: WorkloadSpec) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, variable in enumerate(spec.env):
        path = join("spec.env", index)
        if not _ENV_NAME.fullmatch(variable.name):
            hint = "use letters, digits, _, - and ., with no digit first"
            yield Finding(
                f"{path}.name", f"{variable.name!r} is not a valid name of an environment variable", hint=hint
            )
        elif variable.name == "PORT" and spec.ports:
            message = "PORT is set by Mizzen: it carries the port that the application must listen on"
            yield Finding(f"{path}.name", message, hint="remove it; `ports` says which port others see")
        elif variable.name in seen:
            yield warning(f"{path}.name", f"{variable.name} is set twice; the last one is used", "keep one of them")
        if "\0" in variable.value:
            yield Finding(f"{path}.value", "a value cannot contain a null character")
        seen.add(variable.name)


def _ports(spec: WorkloadSpec) -> Iterator[Finding]:
    seen_names: set[str] = set()
    seen_numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        path = join("spec.ports", index)
        yield from names.port_number(f"{path}.containerPort", port.container_port)
        if port.container_port in seen_numbers:
            yield Finding(f"{path}.containerPort", f"duplicate port {port.container_port}")
        if port.name and not names.is_service_name(port.name):
            hint = "use at most 15 of a-z, 0-9 and -, with at least one letter"
            yield Finding(f"{path}.name", f"{port.name!r} is not a valid port name", hint=hint)
        if port.name and port.name in seen_names:
            yield Finding(f"{path}.name", f"duplicate port name {port.name!r}")
        if port.app_protocol:
            yield from names.label_key(f"{path}.appProtocol", port.app_protocol)
        seen_names.add(port.name)
        seen_numbers.add(port.container_port)


def _probe(path: str, probe: Probe | None, spec: WorkloadSpec) -> Iterator[Finding]:
    if probe is None:
        return
    handlers = [name for name in ("http_get", "tcp_socket", "exec") if getattr(probe, name) is not None]
    if len(handlers) != 1:
        what = "must specify a handler type" if not handlers else "may not specify more than 1 handler type"
        yield Finding(path, f"a probe {what}", hint="write one of `httpGet`, `tcpSocket`, `exec`")
    if probe.http_get is not None:
        yield from _probe_port(f"{path}.httpGet.port", probe.http_get.port, spec)
        if not probe.http_get.path.startswith("/"):
            yield Finding(f"{path}.httpGet.path", "path must begin with /")
        for index, header in enumerate(probe.http_get.http_headers):
            yield from names.header_name(join(f"{path}.httpGet.httpHeaders", index), header.name)
    if probe.tcp_socket is not None:
        yield from _probe_port(f"{path}.tcpSocket.port", probe.tcp_socket.port, spec)
    if probe.exec is not None:
        yield from _command(f"{path}.exec.command", probe.exec.command)
    yield from _probe_numbers(path, probe)


def _probe_port(path: str, port: int | str, spec: WorkloadSpec) -> Iterator[Finding]:
    wrong = list(target_port(path, port))
    yield from wrong
    if not wrong and spec.port_number(port) is None:
        known = ", ".join(declared.name for declared in spec.ports if declared.name) or "none has a name"
        yield Finding(path, f"no port of this workload is named {port!r}", hint=f"its ports: {known}")


def _probe_numbers(path: str, probe: Probe) -> Iterator[Finding]:
    if probe.initial_delay_seconds < 0:
        yield Finding(f"{path}.initialDelaySeconds", "initialDelaySeconds must be 0 or more")
    for name, value in (
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        if value < 1:
            yield Finding(f"{path}.{name}", f"{name} must be 1 or more")
