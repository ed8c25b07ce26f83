"""Kubernetes' rules for Services (``pkg/apis/core/validation``)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding
from mizzen.resources.paths import join
from mizzen.resources.service import ServicePort, ServiceSpec
from mizzen.resources.validation import names


def service(spec: ServiceSpec) -> Iterator[Finding]:
    if not spec.ports:
        yield Finding("spec.ports", "a service needs at least one port", hint="write `ports` with `port: 80`")
    seen_names: set[str] = set()
    seen_ports: set[tuple[int, str]] = set()
    for index, port in enumerate(spec.ports):
        path = join("spec.ports", index)
        yield from _port(path, port, only=len(spec.ports) == 1)
        if port.name and port.name in seen_names:
            yield Finding(f"{path}.name", f"duplicate port name {port.name!r}")
        if (port.port, port.protocol) in seen_ports:
            yield Finding(f"{path}.port", f"duplicate port {port.port}")
        seen_names.add(port.name)
        seen_ports.add((port.port, port.protocol))
    yield from names.labels("spec.selector", spec.selector)


def _port(path: str, port: ServicePort, *, only: bool) -> Iterator[Finding]:
    yield from names.port_number(f"{path}.port", port.port)
    if not port.name and not only:
        hint = "with a prefix for its protocol, such as `http-web`"
        yield Finding(path, "each port of a service with several ports needs a `name`", hint=hint)
    elif port.name and not names.is_dns_label(port.name):
        yield Finding(f"{path}.name", f"{port.name!r} is not a valid port name (DNS-1123 label)")
    yield from target_port(f"{path}.targetPort", port.target_port)
    if port.app_protocol:
        yield from names.label_key(f"{path}.appProtocol", port.app_protocol)


def target_port(path: str, port: int | str | None) -> Iterator[Finding]:
    """Checks a port given by number or by the name of a workload's port."""
    if isinstance(port, int):
        yield from names.port_number(path, port)
    elif port is not None and not names.is_service_name(port):
        hint = "write a number without quotes" if port.isdigit() else "use at most 15 of a-z, 0-9 and -"
        yield Finding(path, f"{port!r} is not a port number or a valid port name", hint=hint)
