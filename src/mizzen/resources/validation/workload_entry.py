"""Istio's rules for a WorkloadEntry (4.63, 4.70)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, unsupported
from mizzen.resources.hosts import is_ip_address, is_wildcard
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.workload_entry import WorkloadEntrySpec


def workload_entry(path: str, spec: WorkloadEntrySpec) -> Iterator[Finding]:
    """Yields what is wrong with one address; it stands at ``path``."""
    if not spec.address:
        yield Finding(path, "address is required", hint="an IP address, or a name for resolution DNS")
    elif spec.address.startswith("unix://"):
        message = "Unix sockets are part of Istio's API but not implemented yet in this version of Mizzen"
        yield unsupported(path, "WorkloadEntrySpec.address", message)
    elif is_wildcard(spec.address):
        yield Finding(f"{path}.address", f"endpoint address {spec.address!r} is not valid: it is no single name")
    elif not is_ip_address(spec.address):
        yield from names.domain(f"{path}.address", spec.address)
    for name, number in spec.ports.items():
        yield from names.port_number(join(f"{path}.ports", name), number)
    yield from names.labels(f"{path}.labels", spec.labels)
    if spec.locality.count("/") > 2 or "*" in spec.locality:
        hint = "write `region`, `region/zone` or `region/zone/subzone`"
        yield Finding(f"{path}.locality", f"{spec.locality!r} is no locality", hint=hint)
    if spec.weight < 0:
        yield Finding(f"{path}.weight", f"weight {spec.weight} < 0")
    if spec.service_account and not names.is_dns_subdomain(spec.service_account):
        yield Finding(f"{path}.serviceAccount", f"{spec.service_account!r} is not a valid service account")
