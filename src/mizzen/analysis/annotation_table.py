"""Istio's annotations: what each may stand on, and which of them are on their way out.

Source of names and places: istio/api, ``annotation/annotations.yaml``; of the values that are checked: istio/istio,
``pkg/kube/inject`` (AnnotationValidation).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_QUANTITY = re.compile(r"\d+(\.\d+)?([eE][-+]?\d+|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True)
class Annotation:
    """``kinds`` is what it may stand on; empty means anything. ``problem`` says what is wrong with a value, or ""."""

    kinds: tuple[str, ...] = ("Pod",)
    deprecated: bool = False
    problem: Callable[[str], str] = lambda _: ""


def _boolean(value: str) -> str:
    return "" if value in _BOOLEANS else f"{value!r} is neither true nor false"


def _whole(value: str) -> str:
    return "" if value.isdecimal() and int(value) < 2**32 else f"{value!r} is not a whole number"


def _port(value: str) -> str:
    return "" if value.isdecimal() and int(value) < 2**16 else f"{value!r} is not the number of a port"


def _quantity(value: str) -> str:
    return "" if _QUANTITY.fullmatch(value) else f"{value!r} is not a quantity such as 100m or 128Mi"


def _mode(value: str) -> str:
    known = ("REDIRECT", "TPROXY", "NONE")
    return "" if value in known else f"{value!r} is none of {', '.join(known)}"


def _ports(value: str) -> str:
    return next((wrong for one in value.split(",") if one.strip() and (wrong := _port(one.strip()))), "")


def _ports_or_all(value: str) -> str:
    return "" if value.strip() == "*" else _ports(value)


def _ranges(value: str) -> str:
    for one in filter(None, (part.strip() for part in value.split(","))):
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError:
            return f"{one!r} is not a range of addresses such as 10.0.0.0/8"
        if "/" not in one:
            return f"{one!r} has no prefix length, such as /32"
    return ""


def _ranges_or_all(value: str) -> str:
    return "" if value.strip() == "*" else _ranges(value)


_POD = Annotation()
_OLD = Annotation(deprecated=True)
_ANY = Annotation(())
_SERVICE = Annotation(("Service",))
_GATEWAY = Annotation(("Gateway",))
_ENTRY = Annotation(("WorkloadEntry",))

ANNOTATIONS: Mapping[str, Annotation] = MappingProxyType(
    {
        "alpha.istio.io/canonical-serviceaccounts": Annotation(("Service",), deprecated=True),
        "alpha.istio.io/identity": _OLD,
        "alpha.istio.io/kubernetes-serviceaccounts": Annotation(("Service",), deprecated=True),
        "ambient.istio.io/bypass-inbound-capture": _POD,
        "ambient.istio.io/dns-capture": _POD,
        "ambient.istio.io/redirection": _POD,
        "galley.istio.io/analyze-suppress": _ANY,
        "gateway.istio.io/controller-version": _GATEWAY,
        "gateway.istio.io/name-override": _GATEWAY,
        "gateway.istio.io/service-account": _GATEWAY,
        "inject.istio.io/templates": _POD,
        "install.operator.istio.io/chart-owner": _ANY,
        "install.operator.istio.io/owner-generation": _ANY,
        "install.operator.istio.io/version": _ANY,
        "istio.io/autoRegistrationGroup": _ENTRY,
        "istio.io/connectedAt": _ENTRY,
        "istio.io/disconnectedAt": _ENTRY,
        "istio.io/dry-run": Annotation(("AuthorizationPolicy",)),
        "istio.io/reroute-virtual-interfaces": _POD,
        "istio.io/rev": _POD,
        "istio.io/workloadController": _ENTRY,
        "kubernetes.io/ingress.class": Annotation(("Ingress",)),
        "networking.istio.io/address-type": _GATEWAY,
        "networking.istio.io/exportTo": _SERVICE,
        "networking.istio.io/service-type": _GATEWAY,
        "networking.istio.io/traffic-distribution": Annotation(("Service", "ServiceEntry", "Namespace")),
        "prometheus.istio.io/merge-metrics": Annotation(problem=_boolean),
        "proxy.istio.io/config": _POD,
        "proxy.istio.io/overrides": _POD,
        "readiness.status.sidecar.istio.io/applicationPorts": Annotation(problem=_ports),
        "readiness.status.sidecar.istio.io/failureThreshold": Annotation(problem=_whole),
        "readiness.status.sidecar.istio.io/initialDelaySeconds": Annotation(problem=_whole),
        "readiness.status.sidecar.istio.io/periodSeconds": Annotation(problem=_whole),
        "sidecar.istio.io/agentLogLevel": _POD,
        "sidecar.istio.io/bootstrapOverride": _POD,
        "sidecar.istio.io/componentLogLevel": _POD,
        "sidecar.istio.io/controlPlaneAuthPolicy": _OLD,
        "sidecar.istio.io/discoveryAddress": _OLD,
        "sidecar.istio.io/enableCoreDump": _POD,
        "sidecar.istio.io/extraStatTags": _POD,
        "sidecar.istio.io/inject": _OLD,
        "sidecar.istio.io/interceptionMode": Annotation(problem=_mode),
        "sidecar.istio.io/logLevel": _POD,
        "sidecar.istio.io/nativeSidecar": Annotation(problem=_boolean),
        "sidecar.istio.io/proxyCPU": Annotation(problem=_quantity),
        "sidecar.istio.io/proxyCPULimit": Annotation(problem=_quantity),
        "sidecar.istio.io/proxyImage": _POD,
        "sidecar.istio.io/proxyImageType": _POD,
        "sidecar.istio.io/proxyMemory": Annotation(problem=_quantity),
        "sidecar.istio.io/proxyMemoryLimit": Annotation(problem=_quantity),
        "sidecar.istio.io/rewriteAppHTTPProbers": _POD,
        "sidecar.istio.io/statsCompression": _POD,
        "sidecar.istio.io/statsEvictionInterval": _POD,
        "sidecar.istio.io/statsHistogramBuckets": _POD,
        "sidecar.istio.io/statsInclusionPrefixes": _OLD,
        "sidecar.istio.io/statsInclusionRegexps": _OLD,
        "sidecar.istio.io/statsInclusionSuffixes": _OLD,
        "sidecar.istio.io/status": _POD,
        "sidecar.istio.io/userVolume": _POD,
        "sidecar.istio.io/userVolumeMount": _POD,
        "status.sidecar.istio.io/port": Annotation(problem=_port),
        "topology.istio.io/controlPlaneClusters": Annotation(("Namespace",)),
        "traffic.sidecar.istio.io/excludeInboundPorts": Annotation(problem=_ports),
        "traffic.sidecar.istio.io/excludeInterfaces": _POD,
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": Annotation(problem=_ranges),
        "traffic.sidecar.istio.io/excludeOutboundPorts": Annotation(problem=_ports),
        "traffic.sidecar.istio.io/includeInboundPorts": Annotation(problem=_ports_or_all),
        "traffic.sidecar.istio.io/includeOutboundIPRanges": Annotation(problem=_ranges_or_all),
        "traffic.sidecar.istio.io/includeOutboundPorts": Annotation(problem=_ports_or_all),
        "traffic.sidecar.istio.io/kubevirtInterfaces": _OLD,
    }
)
