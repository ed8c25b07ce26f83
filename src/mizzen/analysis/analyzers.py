"""The list of analyzers, under Istio's names; those of Mizzen's own begin with ``mizzen.``.

Source of the names: istio/istio, ``pkg/config/analysis/analyzers`` (all.go, and the Metadata of each).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mizzen.analysis import (
    authorization,
    deployments,
    deprecations,
    destination_rules,
    envoy_filters,
    gateway_secrets,
    gateways,
    injection,
    installation,
    istio_annotations,
    ports,
    retries,
    route_protocols,
    schema,
    selectors,
    service_entries,
    virtual_service_destinations,
    virtual_service_gateways,
    virtual_service_hosts,
    webhooks,
)
from mizzen.analysis.forms import FORMS
from mizzen.analysis.messages import Message
from mizzen.analysis.world import World
from mizzen.resources.kinds import KINDS


@dataclass(frozen=True)
class Analyzer:
    """A function that looks for one thing, with the name by which it can be chosen and what it looks for."""

    name: str
    description: str
    check: Callable[[World], Iterator[Message]]


_SUBJECTS = (
    Analyzer("annotations.K8sAnalyzer", "Istio's annotations on Kubernetes' resources", istio_annotations.on_resources),
    Analyzer("applicationUID.Analyzer", "applications that run as the user of the sidecar", deployments.users),
    Analyzer(
        "auth.AuthorizationPoliciesAnalyzer",
        "AuthorizationPolicies for nobody, and namespaces that do not exist",
        authorization.policies,
    ),
    Analyzer("authn.BlockedCIDRsAnalyzer", "control planes that fetch keys from anywhere", authorization.fetched_keys),
    Analyzer("conditions.ConditionAnalyzer", "conditions in the status that are not met", installation.conditions),
    Analyzer("deployment.MultiServiceAnalyzer", "services that disagree about a port", deployments.services),
    Analyzer("deprecation.DeprecationAnalyzer", "deprecated fields and kinds", deprecations.deprecated),
    Analyzer(
        "destinationrule.CaCertificateAnalyzer",
        "TLS to servers whose certificate nobody verifies",
        destination_rules.certificate_checks,
    ),
    Analyzer(
        "destinationrule.SubsetSelectPodAnalyzer",
        "hosts of DestinationRules that nobody knows, subsets that pick no workload",
        destination_rules.subsets,
    ),
    Analyzer("envoyfilter.EnvoyPatchAnalyzer", "operations of EnvoyFilters", envoy_filters.patches),
    Analyzer(
        "externalcontrolplane.ExternalControlPlaneAnalyzer",
        "addresses of external control planes",
        webhooks.external_control_planes,
    ),
    Analyzer("gateway.CertificateAnalyzer", "one certificate in several Gateways", gateways.certificates),
    Analyzer("gateway.ConflictingGatewayAnalyzer", "Gateways in each other's way", gateways.conflicts),
    Analyzer("gateway.IngressGatewayPortAnalyzer", "selectors and ports of Gateways", gateways.ports),
    Analyzer("gateway.SecretAnalyzer", "secrets that Gateways name", gateway_secrets.secrets),
    Analyzer("injection.Analyzer", "namespaces and pods without a sidecar", injection.namespaces),
    Analyzer("injection.ImageAnalyzer", "sidecars that are not the injector's", injection.images),
    Analyzer("injection.ImageAutoAnalyzer", "`image: auto` that nobody replaces", injection.automatic_images),
    Analyzer(
        "k8sgateway.SelectorAnalyzer",
        "policies that pick a gateway of the Gateway API by labels",
        selectors.gateway_selectors,
    ),
    Analyzer("meshnetworks.MeshNetworksAnalyzer", "registries of networks", installation.networks),
    Analyzer("service.PortNameAnalyzer", "ports that do not say their protocol", ports.names),
    Analyzer("serviceentry.Analyzer", "TCP ports without an address", service_entries.addresses),
    Analyzer(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        "one host and port with two protocols",
        service_entries.protocols,
    ),
    Analyzer("sidecar.SelectorAnalyzer", "Sidecars that pick no workload, or the same one", selectors.sidecars),
    Analyzer(
        "telemetry.DefaultSelectorAnalyzer",
        "several Telemetries without a selector in a namespace",
        selectors.default_telemetries,
    ),
    Analyzer("telemetry.LightstepAnalyzer", "tracing with Lightstep", deprecations.lightstep),
    Analyzer("telemetry.ProviderAnalyzer", "access logs without a provider", installation.telemetry_providers),
    Analyzer("telemetry.SelectorAnalyzer", "Telemetries that pick no workload, or the same one", selectors.telemetries),
    Analyzer(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        "hosts that several VirtualServices claim",
        virtual_service_hosts.conflicting_hosts,
    ),
    Analyzer(
        "virtualservice.DestinationHostAnalyzer",
        "hosts and ports of routes",
        virtual_service_destinations.destination_hosts,
    ),
    Analyzer(
        "virtualservice.DestinationRuleAnalyzer",
        "subsets of routes",
        virtual_service_destinations.destination_subsets,
    ),
    Analyzer(
        "virtualservice.GatewayAnalyzer",
        "gateways of VirtualServices, and whether they serve the hosts",
        virtual_service_gateways.gateway_references,
    ),
    Analyzer(
        "virtualservice.JWTClaimRouteAnalyzer",
        "routes by claims of tokens that nobody verifies",
        virtual_service_gateways.claim_routes,
    ),
    Analyzer("webhook.Analyzer", "injectors that overlap, or lead nowhere", webhooks.injectors),
    Analyzer("mizzen.DuplicateAnalyzer", "resources that are written twice", schema.duplicates),
    Analyzer(
        "mizzen.NotImplementedFieldAnalyzer",
        "fields of Istio's API that Mizzen does not implement yet",
        schema.unimplemented_fields,
    ),
    Analyzer(
        "mizzen.NotImplementedKindAnalyzer",
        "kinds of Istio's API that Mizzen does not act on yet",
        schema.unimplemented_kinds,
    ),
    Analyzer("mizzen.RetryAnalyzer", "retries of requests that may have been acted on", retries.unsafe),
    Analyzer(
        "mizzen.RouteProtocolAnalyzer",
        "routes for a protocol that the service does not speak",
        route_protocols.routes,
    ),
)

_SCHEMAS = tuple(
    Analyzer(f"schema.ValidationAnalyzer.{kind.kind}", f"the schema of {kind.kind}", schema.validation(kind))
    for kind in KINDS
    if kind.implemented
) + tuple(
    Analyzer(f"schema.ValidationAnalyzer.{kind.kind}", f"the schema of {kind.kind}", schema.plain_validation(kind))
    for kind in KINDS
    if not kind.implemented and kind.api == "Istio" and kind.kind in FORMS
)

ANALYZERS: tuple[Analyzer, ...] = tuple(sorted((*_SUBJECTS, *_SCHEMAS), key=lambda one: one.name))
"""All analyzers, by name."""
