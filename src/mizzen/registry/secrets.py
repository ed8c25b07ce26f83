"""Which secrets instances have beside the certificates of their identities, and the files in which these are. Pure.

Gateways have what Gateways and DestinationRules name for them, all others what DestinationRules do; of these Secrets only where a
rule selects them. No instance is to have any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from mizzen.registry.credentials import Credentials
from mizzen.registry.gateways import gateway_secrets
from mizzen.registry.membership import OUTSIDE
from mizzen.registry.reports import FileSecret, Instance, InstanceSecrets
from mizzen.resources import certificate_files
from mizzen.resources.credentials import client_secrets, client_settings, is_for_sidecars, names_certificates
from mizzen.resources.destination_rule import ClientTLSSettings, DestinationRuleSpec, concerns
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.resource import Resource

Rule = Resource[DestinationRuleSpec]


def instance_secrets(
    gateways: Sequence[Resource[GatewaySpec]],
    rules: Iterable[Rule],
    instances: Iterable[Instance],
    credentials: Credentials,
    outward: ClientTLSSettings | None = None,
) -> tuple[InstanceSecrets, ...]:
    """Returns the secrets of all instances that have any, in order; ``outward`` is how all but gateways speak to hosts that the mesh
    does not know.
    """
    naming = [rule for rule in rules if names_certificates(rule.spec)]
    found: defaultdict[tuple[str, tuple[FileSecret, ...]], list[str]] = defaultdict(list)
    for one in instances:
        if one.capture != OUTSIDE and (naming or one.gateway or outward):
            found[one.namespace, wanted_secrets(gateways, naming, one, credentials, outward)].append(one.name)
    return tuple(
        InstanceSecrets(namespace=namespace, instances=tuple(names), secrets=secrets)
        for namespace, names, secrets in sorted(
            (namespace, sorted(names), secrets) for (namespace, secrets), names in found.items() if secrets
        )
    )


def wanted_secrets(
    gateways: Iterable[Resource[GatewaySpec]],
    rules: Iterable[Rule],
    instance: Instance,
    credentials: Credentials,
    outward: ClientTLSSettings | None = None,
) -> tuple[FileSecret, ...]:
    """Returns the secrets of one instance, sorted by name."""
    namespace, labels = instance.namespace, instance.labels
    found: dict[str, FileSecret] = {}
    if instance.gateway:
        found |= {one.name: one for one in gateway_secrets(gateways, namespace, labels, credentials)}
    elif outward:
        found |= {one.name: one for one in _of_files(outward)}
    for rule in rules:
        if concerns(rule, namespace, labels):
            whole = instance.gateway or is_for_sidecars(rule.spec)
            found |= {one.name: one for one in _of_rule(rule.spec, namespace, credentials if whole else None)}
    return tuple(found[name] for name in sorted(found))


def _of_rule(spec: DestinationRuleSpec, namespace: str, credentials: Credentials | None) -> Iterator[FileSecret]:
    for _, given in client_settings(spec):
        if not given.credential_name:
            yield from _of_files(given)
        elif credentials:
            certificate, roots = client_secrets(given)
            if certificate:
                yield credentials.certificate(namespace, certificate)
            if roots:
                yield credentials.roots(namespace, roots)


def _of_files(given: ClientTLSSettings) -> Iterator[FileSecret]:
    if given.client_certificate:
        name = certificate_files.certificate_name(given.client_certificate, given.private_key)
        yield FileSecret(name=name, certificate=given.client_certificate, key=given.private_key)
    if given.ca_certificates or given.ca_crl:
        name = certificate_files.roots_name(given.ca_certificates, given.ca_crl)
        yield FileSecret(name=name, roots=given.ca_certificates, crl=given.ca_crl)
