"""Istio's rules for ServiceEntries and what stands in them (``pkg/config/validation/validation.go``, 4.58-69)."""

from __future__ import annotations

from collections.abc import Iterator, Set
from ipaddress import ip_network

from mizzen.resources.findings import Finding, unsupported, warning
from mizzen.resources.hosts import is_ip_address, is_wildcard
from mizzen.resources.paths import join
from mizzen.resources.protocols import Protocol, declared_protocol, undeclared
from mizzen.resources.service_entry import EntryPort, ServiceEntrySpec
from mizzen.resources.validation import names
from mizzen.resources.validation.workload_entry import workload_entry
from mizzen.resources.workload_entry import WorkloadEntrySpec


def service_entry(spec: ServiceEntrySpec, namespace: str) -> Iterator[Finding]:
    yield from _hosts(spec)
    yield from _addresses(spec)
    seen_names: set[str] = set()
    seen_numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        path = join("spec.ports", index)
        yield from _port(path, port)
        if port.name and port.name in seen_names:
            yield Finding(f"{path}.name", f"service entry port name {port.name!r} already defined")
        if port.number in seen_numbers:
            yield Finding(f"{path}.number", f"service entry port {port.number} already defined")
        seen_names.add(port.name)
        seen_numbers.add(port.number)
    yield from _endpoints(spec)
    if spec.resolution == "DYNAMIC_DNS":
        yield from _dynamic(spec)
    yield from names.export_to("spec.exportTo", spec.export_to, namespace)


def _hosts(spec: ServiceEntrySpec) -> Iterator[Finding]:
    if not spec.hosts:
        yield Finding("spec", "service entry must have at least one host", hint="write `hosts: [api.example.com]`")
    seen: set[str] = set()
    for index, host in enumerate(spec.hosts):
        path = join("spec.hosts", index)
        if host == "*":
            yield Finding(path, "invalid host *", hint="write a domain: `*.example.com`")
            continue
        if is_wildcard(host) and not host.startswith("*."):
            yield Finding(path, f"partial wildcard {host!r} not allowed", hint="write `*.` and a domain")
        yield from names.domain(path, host)
        if host.lower() in seen:
            yield Finding(path, f"duplicate host {host!r}")
        seen.add(host.lower())
    protocols = [port.speaks for port in spec.ports]
    bytes_only = protocols and not any(one.is_http or one.is_tls for one in protocols)
    if bytes_only and len(spec.hosts) > 1:
        message = (
            "multiple hosts provided with non-HTTP, non-TLS ports: connections do not say which of them they are for"
        )
        yield Finding("spec.hosts", message, hint="write a ServiceEntry for each host")


def _addresses(spec: ServiceEntrySpec) -> Iterator[Finding]:
    for index, address in enumerate(spec.addresses):
        path = join("spec.addresses", index)
        try:
            network = ip_network(address, strict=False)
        except ValueError:
            yield Finding(path, f"{address!r} is not a valid IP address or CIDR block")
            continue
        if network.version != 4:
            message = "addresses of IPv6 are part of Istio's API but not implemented yet in this version of Mizzen"
            hint = "capture is of IPv4 alone"
            yield unsupported("spec", "ServiceEntrySpec.addresses", message, hint, key=index)
        elif "/" in address and spec.resolution not in ("NONE", "STATIC"):
            yield Finding(path, f"CIDR addresses are allowed only for NONE/STATIC resolution types: {address}")


def _port(path: str, port: EntryPort) -> Iterator[Finding]:
    yield from names.port_number(f"{path}.number", port.number)
    if port.target_port:
        yield from names.port_number(f"{path}.targetPort", port.target_port)
    if not port.name:
        yield Finding(path, "port name must be set", hint="after its protocol: `http`, `tls`, `tcp-db`")
    elif not names.is_dns_label(port.name):
        yield Finding(f"{path}.name", f"invalid port name: {port.name!r} is no DNS-1123 label")
    if port.protocol.upper() == "UDP":
        message = "UDP is part of Istio's API but not implemented yet in this version of Mizzen"
        yield unsupported(path, "EntryPort.protocol", message)
    elif port.protocol and declared_protocol("", port.protocol) is None:
        hint = "one of HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, MYSQL, REDIS"
        yield Finding(f"{path}.protocol", f"unsupported protocol {port.protocol!r}", hint=hint)
    elif port.speaks is Protocol.UNDECLARED:
        yield warning(path, undeclared(port.number), "write `protocol`", "IST0118")


def _endpoints(spec: ServiceEntrySpec) -> Iterator[Finding]:
    if spec.endpoints and spec.workload_selector is not None:
        yield Finding("spec", "only one of WorkloadSelector or Endpoints is allowed in Service Entry")
    if spec.workload_selector is not None:
        yield from names.labels("spec.workloadSelector.labels", spec.workload_selector.labels)
        if not spec.workload_selector.labels:
            yield Finding("spec.workloadSelector", "workloadSelector needs `labels`: an empty one selects nothing")
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        yield Finding("spec.endpoints", "there must only be 0 or 1 endpoint for resolution type DNS_ROUND_ROBIN")
    if spec.endpoints or spec.workload_selector is not None:
        yield from _needless(spec)
    else:
        yield from _missing(spec)
    known = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        yield from _endpoint(join("spec.endpoints", index), endpoint, spec.resolution, known)


def _dynamic(spec: ServiceEntrySpec) -> Iterator[Finding]:
    """Proxies look up what each client asks for, so nothing may say otherwise, and clients must ask."""
    for index, host in enumerate(spec.hosts):
        if not is_wildcard(host):
            message = f"hosts must be wildcards for resolution DYNAMIC_DNS: {host!r}"
            yield Finding(join("spec.hosts", index), message, hint="write `resolution: DNS` for a single host")
    for field, given in (("addresses", spec.addresses), ("endpoints", spec.endpoints)):
        if given:
            yield Finding(
                f"spec.{field}", f"no {field} should be provided for resolution DYNAMIC_DNS", hint="remove it"
            )
    if spec.workload_selector is not None:
        yield Finding("spec.workloadSelector", "no workloadSelector should be provided for resolution DYNAMIC_DNS")
    for index, port in enumerate(spec.ports):
        path = join("spec.ports", index)
        if not (port.speaks.is_http or port.speaks.is_tls):
            message = (
                f"resolution DYNAMIC_DNS is for HTTP and TLS, and port {port.number} carries bytes: they name no host"
            )
            yield Finding(f"{path}.protocol", message, hint="write `protocol: HTTP` or `TLS`")
        elif port.speaks.is_http and port.target_port not in (0, port.number):
            message = (
                "the port of a request is that of its host: 80 or, where a DestinationRule begins TLS, 443 without one"
            )
            yield unsupported(path, "EntryPort.targetPort", message, "remove it")


def _needless(spec: ServiceEntrySpec) -> Iterator[Finding]:
    if spec.resolution == "NONE":
        path = "spec.endpoints" if spec.endpoints else "spec.workloadSelector"
        message = "no endpoints should be provided for resolution type none"
        yield Finding(path, message, hint="write `resolution: STATIC`, or `DNS` for names")


def _missing(spec: ServiceEntrySpec) -> Iterator[Finding]:
    if spec.resolution == "STATIC":
        message = "nothing stands behind the hosts: there are no endpoints and no workloadSelector"
        yield Finding("spec", message, hint="add `endpoints: [{address: ...}]`")
    for index, host in enumerate(spec.hosts if spec.by_name else ()):
        if is_wildcard(host):
            message = "hosts must be FQDN if no endpoints are provided for resolution mode DNS"
            hint = "no server has such a name: write `resolution: NONE`"
            yield Finding(join("spec.hosts", index), message, hint=hint)


def _endpoint(path: str, endpoint: WorkloadEntrySpec, resolution: str, known: Set[str]) -> Iterator[Finding]:
    yield from workload_entry(path, endpoint)
    address = endpoint.address
    if resolution == "STATIC" and address and not (is_ip_address(address) or address.startswith("unix://")):
        yield Finding(f"{path}.address", f"{address!r} is not a valid IP address", hint="write `resolution: DNS`")
    for name in endpoint.ports:
        if name not in known:
            message = f"endpoint port {name!r} is not defined by the service entry"
            yield Finding(join(f"{path}.ports", name), message, hint=f"its ports are {', '.join(sorted(known))}")
