"""Checks that TLS which a DestinationRule asks for suits the servers. Pure; a part of :mod:`mizzen.resources.references`."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.credentials import client_settings
from mizzen.resources.destination_rule import DestinationRuleSpec, policies
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource


def unfit_tls(rule: Resource[DestinationRuleSpec]) -> Iterator[Problem]:
    """Yields a warning for each policy by which members of the mesh are not called by the mesh's mutual TLS: they take
    nothing else. ``rule`` is for a service with workloads.
    """
    for path, given in client_settings(rule.spec):
        if given.mode != "ISTIO_MUTUAL":
            yield rule.problem(
                "PeersWantMutualTLS",
                path,
                f"members of the mesh take nothing but its mutual TLS: with mode {given.mode} calls to them fail",
                "remove `tls`, unless all that stands behind the host is outside the mesh",
                Level.WARNING,
            )
    for path, policy in policies(rule.spec):
        if policy.proxy_protocol:
            where = f"{path}.proxyProtocol"
            yield rule.problem(
                "PeersWantMutualTLS",
                where,
                "members of the mesh take nothing before its mutual TLS: with a PROXY header calls to them fail",
                "remove `proxyProtocol`, unless all that stands behind the host is outside the mesh",
                Level.WARNING,
            )
