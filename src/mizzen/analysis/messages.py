"""The table of messages: codes, names and levels are Istio's, words are ours.

Source of codes, names and levels: istio/istio, ``pkg/config/analysis/msg/messages.yaml``. Codes that begin with MZN are
Mizzen's own. ``docs/analyze.md`` says what each means here, and which cannot be found without a Kubernetes cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mizzen.analysis.items import Item
from mizzen.resources.problems import Level, Position

_E, _W, _I = Level.ERROR, Level.WARNING, Level.INFO


@dataclass(frozen=True)
class MessageType:
    """``decided`` is whether an analyzer here can find it; the others need what only a cluster has."""

    code: str
    name: str
    level: Level
    decided: bool = True


_TABLE = (
    MessageType("IST0001", "InternalError", _E, decided=False),
    MessageType("IST0002", "Deprecated", _W),
    MessageType("IST0101", "ReferencedResourceNotFound", _E),
    MessageType("IST0102", "NamespaceNotInjected", _I),
    MessageType("IST0103", "PodMissingProxy", _W),
    MessageType("IST0106", "SchemaValidationError", _E),
    MessageType("IST0107", "MisplacedAnnotation", _W),
    MessageType("IST0108", "UnknownAnnotation", _W),
    MessageType("IST0109", "ConflictingMeshGatewayVirtualServiceHosts", _E),
    MessageType("IST0110", "ConflictingSidecarWorkloadSelectors", _E),
    MessageType("IST0111", "MultipleSidecarsWithoutWorkloadSelectors", _E),
    MessageType("IST0112", "VirtualServiceDestinationPortSelectorRequired", _E),
    MessageType("IST0116", "DeploymentAssociatedToMultipleServices", _W),
    MessageType("IST0118", "PortNameIsNotUnderNamingConvention", _I),
    MessageType("IST0123", "NamespaceMultipleInjectionLabels", _W),
    MessageType("IST0125", "InvalidAnnotation", _W),
    MessageType("IST0126", "UnknownMeshNetworksServiceRegistry", _E),
    MessageType("IST0127", "NoMatchingWorkloadsFound", _W),
    MessageType("IST0128", "NoServerCertificateVerificationDestinationLevel", _W),
    MessageType("IST0129", "NoServerCertificateVerificationPortLevel", _W),
    MessageType("IST0130", "VirtualServiceUnreachableRule", _W),
    MessageType("IST0131", "VirtualServiceIneffectiveMatch", _I),
    MessageType("IST0132", "VirtualServiceHostNotFoundInGateway", _W),
    MessageType("IST0133", "SchemaWarning", _W),
    MessageType("IST0134", "ServiceEntryAddressesRequired", _W),
    MessageType("IST0135", "DeprecatedAnnotation", _I),
    MessageType("IST0136", "AlphaAnnotation", _I, decided=False),
    MessageType("IST0137", "DeploymentConflictingPorts", _W),
    MessageType("IST0138", "GatewayDuplicateCertificate", _W),
    MessageType("IST0139", "InvalidWebhook", _E),
    MessageType("IST0140", "IngressRouteRulesNotAffected", _W),
    MessageType("IST0141", "InsufficientPermissions", _E, decided=False),
    MessageType("IST0142", "UnsupportedKubernetesVersion", _E, decided=False),
    MessageType("IST0143", "LocalhostListener", _E, decided=False),
    MessageType("IST0144", "InvalidApplicationUID", _W),
    MessageType("IST0145", "ConflictingGateways", _E),
    MessageType("IST0146", "ImageAutoWithoutInjectionWarning", _W),
    MessageType("IST0147", "ImageAutoWithoutInjectionError", _E),
    MessageType("IST0148", "NamespaceInjectionEnabledByDefault", _I),
    MessageType("IST0149", "JwtClaimBasedRoutingWithoutRequestAuthN", _E),
    MessageType("IST0150", "ExternalNameServiceTypeInvalidPortName", _W),
    MessageType("IST0151", "EnvoyFilterUsesRelativeOperation", _W),
    MessageType("IST0152", "EnvoyFilterUsesReplaceOperationIncorrectly", _E),
    MessageType("IST0153", "EnvoyFilterUsesAddOperationIncorrectly", _E),
    MessageType("IST0154", "EnvoyFilterUsesRemoveOperationIncorrectly", _E),
    MessageType("IST0155", "EnvoyFilterUsesRelativeOperationWithProxyVersion", _W),
    MessageType("IST0156", "UnsupportedGatewayAPIVersion", _E, decided=False),
    MessageType("IST0157", "InvalidTelemetryProvider", _W),
    MessageType("IST0158", "PodsIstioProxyImageMismatchInNamespace", _W),
    MessageType("IST0159", "ConflictingTelemetryWorkloadSelectors", _E),
    MessageType("IST0160", "MultipleTelemetriesWithoutWorkloadSelectors", _E),
    MessageType("IST0161", "InvalidGatewayCredential", _E),
    MessageType("IST0162", "GatewayPortNotDefinedOnService", _W),
    MessageType("IST0163", "InvalidExternalControlPlaneConfig", _W),
    MessageType("IST0164", "ExternalControlPlaneAddressIsNotAHostname", _I),
    MessageType("IST0165", "ReferencedInternalGateway", _W),
    MessageType("IST0166", "IneffectiveSelector", _W),
    MessageType("IST0167", "IneffectivePolicy", _W),
    MessageType("IST0168", "UnknownUpgradeCompatibility", _W, decided=False),
    MessageType("IST0169", "UpdateIncompatibility", _W, decided=False),
    MessageType("IST0170", "MultiClusterInconsistentService", _W, decided=False),
    MessageType("IST0171", "NegativeConditionStatus", _W),
    MessageType("IST0172", "FutureUnsupportedGatewayAPIVersion", _W, decided=False),
    MessageType("IST0173", "DestinationRuleSubsetNotSelectPods", _E),
    MessageType("IST0174", "UnknownDestinationRuleHost", _W),
    MessageType("IST0175", "JwksUriFetchUnrestricted", _W),
    MessageType("IST0176", "GatewayAPICRDVersionBelowMinimum", _W, decided=False),
    MessageType("IST0177", "ConflictingServiceEntryProtocol", _W),
    MessageType("MZN0001", "FieldNotImplemented", _I),
    MessageType("MZN0002", "KindNotImplemented", _I),
    MessageType("MZN0003", "InvalidWorkload", _E),
    MessageType("MZN0004", "UnsafeRetry", _W),
    MessageType("MZN0005", "DuplicateResource", _W),
    MessageType("MZN0006", "RouteForOtherProtocol", _W),
    MessageType("MZN0007", "UnusableService", _W),
)

MESSAGE_TYPES: Mapping[str, MessageType] = MappingProxyType({one.code: one for one in _TABLE})
"""Every type of message by its code, in the order of the codes."""


ABOUT_MIZZEN = frozenset({"MZN0001", "MZN0002"})
"""Codes that say what Mizzen lacks and not what is wrong: they are no failure."""


@dataclass(frozen=True, eq=False)
class Message:
    """One finding: its type, the resource that it is about, the field where it shows, and what it says."""

    type: MessageType
    item: Item
    path: str
    text: str

    @property
    def position(self) -> Position | None:
        return self.item.position(self.path)


def message(code: str, item: Item, path: str, text: str) -> Message:
    """Makes a message of a code of the table."""
    return Message(MESSAGE_TYPES[code], item, path, text)
