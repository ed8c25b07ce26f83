"""Checks that the Secrets which Gateways and DestinationRules name are where proxies may have them. Pure; a part of
:mod:`mizzen.resources.references`. Codes are those of ``istioctl analyze``.

A Secret that is missing is a warning, for it may come later, and the other servers of its Gateway work meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mizzen.resources.credentials import (
    client_secrets,
    client_settings,
    is_for_sidecars,
    roots_candidates,
    server_certificates,
    server_roots,
)
from mizzen.resources.destination_rule import DestinationRuleSpec, concerns
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.resource import Resource
from mizzen.resources.secret import SecretSpec
from mizzen.resources.suggesting import nearest
from mizzen.resources.workload import WorkloadSpec

INVALID = "IST0161"
SIDECARS_HAVE_NONE = "NoCredentialAtSidecars"


def check_credentials(resources: Sequence[Resource[Any]]) -> Iterator[Problem]:
    secrets = _Secrets(one for one in resources if isinstance(one.spec, SecretSpec))
    running = [one for one in resources if isinstance(one.spec, WorkloadSpec) and one.spec.gateway]
    for resource in resources:
        if isinstance(resource.spec, GatewaySpec):
            yield from _of_gateway(resource, running, secrets)
        elif isinstance(resource.spec, DestinationRuleSpec):
            yield from _of_rule(resource, running, secrets)


class _Secrets:
    def __init__(self, secrets: Iterable[Resource[SecretSpec]]) -> None:
        self._found: Mapping[tuple[str, str], Resource[SecretSpec]] = {
            (one.namespace, one.name): one for one in secrets
        }

    def certificate(self, user: Resource[Any], path: str, namespace: str, name: str) -> Iterator[Problem]:
        found = self._found.get((namespace, name))
        if found is None:
            yield self._missing(user, path, namespace, name)
        elif found.spec.pair is None:
            yield _unusable(user, path, found, "no certificate with its key", "write `tls.crt` and `tls.key`")

    def roots(self, user: Resource[Any], path: str, namespace: str, name: str) -> Iterator[Problem]:
        candidates = roots_candidates(name)
        found = next((one for each in candidates if (one := self._found.get((namespace, each)))), None)
        if found is None:
            yield self._missing(user, path, namespace, candidates[0])
        elif not found.spec.roots:
            hint = f"write `ca.crt` there, or in a Secret {candidates[0]}"
            yield _unusable(user, path, found, "no certificates of authorities", hint)

    def _missing(self, user: Resource[Any], path: str, namespace: str, name: str) -> Problem:
        there = [known for where, known in self._found if where == namespace]
        elsewhere = sorted(where for where, known in self._found if known == name)
        near = nearest(name, there)
        hint = f"did you mean `{near}`?" if near else "until it is applied connections that need it are closed"
        if elsewhere:
            hint = f"it is in namespace {elsewhere[0]}, but a proxy has Secrets of its own namespace alone"
        message = f"there is no Secret {name} in namespace {namespace}, which is the proxy's"
        return user.problem(NOT_FOUND, path, message, hint, Level.WARNING)


def _unusable(user: Resource[Any], path: str, secret: Resource[SecretSpec], lacks: str, hint: str) -> Problem:
    return user.problem(INVALID, path, f"{secret.key} at {secret.source.position()} holds {lacks}", hint)


def _of_gateway(
    gateway: Resource[GatewaySpec], running: Sequence[Resource[WorkloadSpec]], secrets: _Secrets
) -> Iterator[Problem]:
    chosen = [one for one in running if gateway.spec.selector.items() <= one.labels.items()]
    namespaces = sorted({one.namespace for one in chosen})
    for index, server in enumerate(gateway.spec.servers):
        path = f"{join('spec.servers', index)}.tls"
        for namespace in namespaces if server.ends_tls and server.tls else ():
            assert server.tls
            certificates, roots = server_certificates(server.tls), server_roots(server.tls)
            for field, name in certificates:
                yield from secrets.certificate(gateway, f"{path}.{field}", namespace, name)
            if roots:
                yield from secrets.roots(gateway, f"{path}.{roots[0]}", namespace, roots[1])


def _of_rule(
    rule: Resource[DestinationRuleSpec], running: Sequence[Resource[WorkloadSpec]], secrets: _Secrets
) -> Iterator[Problem]:
    seeing = {one.namespace for one in running if concerns(rule, one.namespace, one.labels)}
    if is_for_sidecars(rule.spec):
        # Containers are selected as well, which no resource tells of.
        seeing = {rule.namespace}
    for path, given in client_settings(rule.spec):
        field = f"{path}.credentialName"
        if given.credential_name and not seeing:
            message = (
                "a sidecar has the Secrets of rules that select it, and this one selects nobody and is for no gateway:"
                " connections to the host are closed"
            )
            hint = (
                "write `workloadSelector: {matchLabels: ...}`, and the Secret in the namespace of the rule; or name files:"
                " `caCertificates`, `clientCertificate`, `privateKey`"
            )
            yield rule.problem(SIDECARS_HAVE_NONE, field, message, hint, Level.WARNING)
        certificate, roots = client_secrets(given)
        for namespace in sorted(seeing):
            if certificate:
                yield from secrets.certificate(rule, field, namespace, certificate)
            if roots:
                yield from secrets.roots(rule, field, namespace, roots)
