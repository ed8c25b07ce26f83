"""Istio's rules for outlier detection, TLS origination and tunnels."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import ClientTLSSettings, OutlierDetection, RetryBudget, TunnelSettings
from mizzen.resources.findings import Finding, warning
from mizzen.resources.model import alias_of
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.secret import file_name, secret_name


def outlier_detection(path: str, given: OutlierDetection | None) -> Iterator[Finding]:
    if given is None:
        return
    yield from names.duration(f"{path}.interval", given.interval)
    yield from names.duration(f"{path}.baseEjectionTime", given.base_ejection_time)
    for name, percent in (
        ("maxEjectionPercent", given.max_ejection_percent),
        ("minHealthPercent", given.min_health_percent),
    ):
        if not 0 <= percent <= 100:
            yield Finding(f"{path}.{name}", f"percentage {percent} must be in range 0..100")
    if given.consecutive_local_origin_failures and not given.split_external_local_origin_errors:
        message = "outlier detection consecutive local origin failures is specified, but split external local origin errors is set to false"
        yield Finding(
            f"{path}.consecutiveLocalOriginFailures", message, hint="set `splitExternalLocalOriginErrors: true`"
        )
    for index, code in enumerate(given.outlier_detection_http_error_codes):
        if not 100 <= code <= 599:
            yield Finding(join(f"{path}.outlierDetectionHttpErrorCodes", index), f"{code} is not an HTTP status code")


# With which modes each field has an effect; elsewhere Istio reads it and does nothing.
_OUTWARD = frozenset({"SIMPLE", "MUTUAL"})
_TLS_FIELDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("client_certificate", frozenset({"MUTUAL"})),
    ("private_key", frozenset({"MUTUAL"})),
    ("ca_certificates", _OUTWARD),
    ("credential_name", _OUTWARD),
    ("ca_crl", _OUTWARD),
    ("insecure_skip_verify", _OUTWARD),
    ("subject_alt_names", _OUTWARD | {"ISTIO_MUTUAL"}),
    ("sni", _OUTWARD | {"ISTIO_MUTUAL"}),
)
_FILES = ("client_certificate", "private_key", "ca_certificates", "ca_crl")


def tls(path: str, given: ClientTLSSettings | None, *, of_port: bool = False) -> Iterator[Finding]:
    if given is None:
        return
    yield from _tls_fields(path, given)
    if given.credential_name and (
        given.client_certificate or given.ca_certificates or given.private_key or given.ca_crl
    ):
        message = "cannot specify client certificates or CA certificate or CA CRL If credentialName is set"
        yield Finding(path, message)
    elif given.mode == "MUTUAL" and not given.credential_name:
        if not given.client_certificate:
            yield Finding(path, "client certificate required for mutual tls")
        if not given.private_key:
            yield Finding(path, "private key required for mutual tls")
    if given.insecure_skip_verify and (given.ca_certificates or given.subject_alt_names):
        yield Finding(path, "cannot specify CA certificates or SANs if insecureSkipVerify is set to true")
    elif given.insecure_skip_verify and given.mode in _OUTWARD:
        message = "nobody checks who answers: whoever is on the way can read and change what is sent"
        code = "IST0129" if of_port else "IST0128"
        yield warning(f"{path}.insecureSkipVerify", message, "give `caCertificates` instead", code)


def _tls_fields(path: str, given: ClientTLSSettings) -> Iterator[Finding]:
    for name, modes in _TLS_FIELDS:
        value, alias = getattr(given, name), alias_of(ClientTLSSettings, name)
        if value and given.mode not in modes:
            message = f"{alias} has no effect with mode {given.mode}"
            yield Finding(f"{path}.{alias}", message, hint=f"remove it, or write `mode: {max(modes)}`")
        elif value and name in _FILES:
            inside = list(file_name(f"{path}.{alias}", value))
            yield from inside
            if not inside and not value.startswith("/"):
                hint = "proxies run in a folder of their own"
                yield Finding(f"{path}.{alias}", f"{value!r} is no absolute path", hint=hint)
    if given.credential_name:
        yield from secret_name(f"{path}.credentialName", given.credential_name)
    for index, name in enumerate(given.subject_alt_names):
        if given.mode == "ISTIO_MUTUAL" and not name.startswith("spiffe://"):
            hint = "write `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`"
            yield Finding(join(f"{path}.subjectAltNames", index), "members of the mesh have no such name", hint=hint)


def retry_budget(path: str, given: RetryBudget | None) -> Iterator[Finding]:
    if given is None:
        return
    if given.percent is not None and not 0 <= given.percent <= 100:
        yield Finding(f"{path}.percent", f"percentage {given.percent} must be in range 0..100")
    if not 0 <= given.min_retry_concurrency <= 2**32 - 1:
        yield Finding(f"{path}.minRetryConcurrency", "minRetryConcurrency must be non-negative (uint32)")
    yield from names.duration(f"{path}.budgetInterval", given.budget_interval, zero=True)


def tunnel(path: str, given: TunnelSettings) -> Iterator[Finding]:
    if given.protocol not in {"", "CONNECT", "POST"}:
        yield Finding(f"{path}.protocol", 'tunnel protocol must be "CONNECT" or "POST"')
    yield from names.host_or_address(f"{path}.targetHost", given.target_host)
    yield from names.port_number(f"{path}.targetPort", given.target_port)
