"""The secrets that Gateways name: they are in the namespace of the pods, and hold a certificate that is valid.

Source of the conditions: istio/istio, ``analyzers/gateway/secret.go`` and ``pilot/pkg/credentials/kube`` (which keys).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mizzen.analysis.gateway_hosts import hosts_for
from mizzen.analysis.gateways import unselected
from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import labels, text
from mizzen.analysis.world import ROOT_NAMESPACE, Reference, World
from mizzen.resources.paths import join
from mizzen.resources.secret import PAIRS, ROOTS_SUFFIX, decoded
from mizzen.resources.secret_names import secret_of


def secrets(world: World) -> Iterator[Message]:
    """IST0101 for a secret that is not there, IST0161 for one that cannot serve.

    Where the files have no secrets at all these come from elsewhere, and nothing is said.
    """
    written = {item.namespace for item in world.of("Secret")}
    if not written:
        return
    for gateway in world.of("Gateway"):
        selector = labels(gateway.spec, "selector")
        workloads = world.selected(selector)
        if not workloads and not world.is_installed_gateway(selector):
            yield unselected(gateway, selector)
            continue
        namespace = workloads[0].namespace if workloads else ROOT_NAMESPACE
        if not workloads and namespace not in written:
            continue
        for server in hosts_for(gateway):
            path = f"{join('spec.servers', server.index)}.tls.credentialName"
            yield from _secret(world, gateway, path, text(server.value, "tls", "credentialName"), namespace)


def _secret(world: World, gateway: Item, path: str, name: str, namespace: str) -> Iterator[Message]:
    if not name:
        return
    reference = Reference.parse(secret_of(name), namespace)
    found = world.find("Secret", reference)
    if found is None:
        yield message("IST0101", gateway, path, f"there is no Secret {reference}, which `credentialName` means")
    elif why := _unusable(found, world.now):
        yield message("IST0161", gateway, path, f"Secret {reference} cannot serve: {why}")


def _unusable(secret: Item, now: datetime | None) -> str:
    """Returns why a secret is no certificate; "" if it is one."""
    keys = next((pair for pair in PAIRS if all(_has(secret, key) for key in pair)), None)
    if keys is None:
        return "it has neither tls.crt and tls.key nor cert and key"
    if secret.name.endswith(ROOTS_SUFFIX):
        return ""
    from mizzen.resources.certificates import read_certificates

    try:
        certificate = read_certificates(_content(secret, keys[0]))[0]
    except ValueError:
        return f"{keys[0]} is no certificate in PEM form"
    if now is not None and now > certificate.not_valid_after_utc:
        return f"its certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now is not None and now < certificate.not_valid_before_utc:
        return f"its certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""


def _has(secret: Item, key: str) -> bool:
    return bool(text(secret.value, "data", key) or text(secret.value, "stringData", key))


def _content(secret: Item, key: str) -> str:
    return text(secret.value, "stringData", key) or decoded(text(secret.value, "data", key))
