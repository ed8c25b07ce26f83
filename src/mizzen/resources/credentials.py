"""How Gateways and DestinationRules name certificates that are in Secrets (``credentialName`` and its like, Istio 1.2 and 1.3).

A Secret is looked for in the namespace of the proxy, and nowhere else. Authorities are in the Secret of the same name with
``-cacert`` at its end, or else in the Secret itself. Proxies have them under names that say where they are from.

Gateways may have all that is named for them. Sidecars have what a DestinationRule names that says by a ``workloadSelector`` for
whom it is (Istio 2.4): one that is for everybody would have all the mesh wait for what few may have.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import ClientTLSSettings, DestinationRuleSpec, levels
from mizzen.resources.gateway import ServerTLSSettings
from mizzen.resources.paths import join
from mizzen.resources.secret import ROOTS_SUFFIX
from mizzen.resources.secret_names import certificate_name, secret_of

_ENDING = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})
ASKING: frozenset[str] = frozenset({"MUTUAL", "OPTIONAL_MUTUAL"})
"""The modes in which a server asks for certificates of clients."""


def roots_name(secret: str) -> str:
    """Returns what proxies call the authorities that go with a Secret: as in Istio."""
    return certificate_name(f"{secret}{ROOTS_SUFFIX}")


def roots_candidates(secret: str) -> tuple[str, ...]:
    """Returns the Secrets that may hold the authorities that go with a Secret, the best first."""
    return (secret,) if secret.endswith(ROOTS_SUFFIX) else (f"{secret}{ROOTS_SUFFIX}", secret)


def server_certificates(tls: ServerTLSSettings) -> tuple[tuple[str, str], ...]:
    """Returns the Secrets that hold a server's certificates, each with the field that names it."""
    if tls.mode not in _ENDING:
        return ()
    if tls.credential_name:
        return (("credentialName", secret_of(tls.credential_name)),)
    return tuple((join("credentialNames", at), secret_of(one)) for at, one in enumerate(tls.credential_names))


def server_roots(tls: ServerTLSSettings) -> tuple[str, str] | None:
    """Returns the field that names the Secret whose authorities certify clients, and its name; None without any."""
    if tls.mode not in ASKING:
        return None
    if tls.ca_cert_credential_name:
        return ("caCertCredentialName", secret_of(tls.ca_cert_credential_name))
    return next(iter(server_certificates(tls)), None)


def client_settings(spec: DestinationRuleSpec) -> Iterator[tuple[str, ClientTLSSettings]]:
    """Yields the TLS settings of a DestinationRule, each with its path."""
    return ((f"{path}.tls", level.tls) for path, level in levels(spec) if level.tls)


def client_secrets(given: ClientTLSSettings) -> tuple[str, str]:
    """Returns the Secret that holds a client's certificate, and the one that its authorities go with; "" where it needs none."""
    secret = secret_of(given.credential_name)
    return (secret if given.mode == "MUTUAL" else "", "" if given.insecure_skip_verify else secret)


def names_secrets(spec: DestinationRuleSpec) -> bool:
    return any(given.credential_name for _, given in client_settings(spec))


def names_certificates(spec: DestinationRuleSpec) -> bool:
    """Tells whether a rule names certificates, in Secrets or in files."""
    return any(
        given.credential_name or given.client_certificate or given.ca_certificates or given.ca_crl
        for _, given in client_settings(spec)
    )


def is_for_sidecars(spec: DestinationRuleSpec) -> bool:
    """Tells whether sidecars may have the Secrets that a rule names, as far as it concerns them."""
    return spec.workload_selector is not None
