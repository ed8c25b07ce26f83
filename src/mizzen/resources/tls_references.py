"""Checks that TLS which a DestinationRule asks for suits the servers. Pure; a part of :mod:`mizzen.resources.references`."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import ClientTLSSettings, DestinationRuleSpec, TrafficPolicy
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource


def unfit_tls(rule: Resource[DestinationRuleSpec]) -> Iterator[Problem]:
    """Yields a warning for each policy by which members of the mesh are not called by the mesh's mutual TLS: they take
    nothing else. ``rule`` is for a service with workloads.
    """
    for path, given in _settings(rule.spec):
        if given.mode != "ISTIO_MUTUAL":
            yield Problem(
                code="PeersWantMutualTLS",
                message=f"members of the mesh take nothing but its mutual TLS: with mode {given.mode} calls to them fail",
                level=Level.WARNING,
                position=rule.source.position(path),
                resource=rule.key,
                path=path,
                hint="remove `tls`, unless all that stands behind the host is outside the mesh",
            )


def _settings(spec: DestinationRuleSpec) -> Iterator[tuple[str, ClientTLSSettings]]:
    yield from _of_policy("spec.trafficPolicy", spec.traffic_policy)
    for index, subset in enumerate(spec.subsets):
        yield from _of_policy(f"{join('spec.subsets', index)}.trafficPolicy", subset.traffic_policy)


def _of_policy(path: str, policy: TrafficPolicy | None) -> Iterator[tuple[str, ClientTLSSettings]]:
    if policy and policy.tls:
        yield f"{path}.tls", policy.tls
    for index, port in enumerate(policy.port_level_settings if policy else ()):
        if port.tls:
            yield f"{join(f'{path}.portLevelSettings', index)}.tls", port.tls
