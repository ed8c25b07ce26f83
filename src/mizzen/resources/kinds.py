"""The table of kinds: how each is called, in which API it is, and with which model it is read.

Kinds that belong to Istio or Kubernetes but are not implemented are known by name, so that a user who brings one learns
that, and not that it does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.model import Model
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.rate_limit import RateLimitSpec
from mizzen.resources.secret import SecretSpec
from mizzen.resources.service import ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec

NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"
TELEMETRY = "telemetry.istio.io"
EXTENSIONS = "extensions.istio.io"
MIZZEN = "mizzen.dev"
GATEWAY_API = "gateway.networking.k8s.io"
CORE = ""


@dataclass(frozen=True)
class Kind:
    """One kind of resource. ``versions`` are those accepted, the preferred one first; all have one schema.

    ``instead`` says of a kind that is not implemented what Mizzen does without it. A ``flat`` one says what it says beside
    its metadata, and not below ``spec``. ``fields_of`` says whose fields a kind of Mizzen's has, if they are others'.
    """

    kind: str
    plural: str
    group: str
    versions: tuple[str, ...]
    model: type[Model] | None = None
    short_names: tuple[str, ...] = ()
    instead: str = ""
    flat: bool = False
    fields_of: str = ""

    @property
    def implemented(self) -> bool:
        return self.model is not None

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_versions(self) -> tuple[str, ...]:
        """The values of ``apiVersion`` that name this kind."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)

    @property
    def api(self) -> str:
        """Whose API the kind belongs to, for messages."""
        if self.group.endswith("istio.io"):
            return "Istio"
        if self.group == GATEWAY_API:
            return "the Gateway API"
        return "Mizzen" if self.group == MIZZEN else "Kubernetes"

    @property
    def fields_api(self) -> str:
        """Whose API the fields below ``spec`` belong to, for messages."""
        return self.fields_of or self.api

    @property
    def api_name(self) -> str:
        """``Istio's API``, ``the Gateway API``."""
        possessive = f"{self.api}'" if self.api.endswith("s") else f"{self.api}'s"
        return self.api if self.api.endswith("API") else f"{possessive} API"

    @property
    def names(self) -> tuple[str, ...]:
        """All names by which users may ask for the kind, in lower case."""
        return (self.singular, self.plural, *self.short_names)


_ALL = ("v1", "v1beta1", "v1alpha3")

KINDS: tuple[Kind, ...] = (
    Kind("Workload", "workloads", MIZZEN, ("v1alpha1",), WorkloadSpec, ("wl",)),
    Kind("Service", "services", CORE, ("v1",), ServiceSpec, ("svc",)),
    Kind("Secret", "secrets", CORE, ("v1",), SecretSpec, flat=True),
    Kind("VirtualService", "virtualservices", NETWORKING, _ALL, VirtualServiceSpec, ("vs",)),
    Kind("DestinationRule", "destinationrules", NETWORKING, _ALL, DestinationRuleSpec, ("dr",)),
    Kind("MeshConfig", "meshconfigs", MIZZEN, ("v1alpha1",), MeshConfigSpec, ("mc",), fields_of="Istio"),
    Kind("RateLimit", "ratelimits", MIZZEN, ("v1alpha1",), RateLimitSpec, ("rl",)),
    Kind("Gateway", "gateways", NETWORKING, _ALL, GatewaySpec, ("gw",)),
    Kind("ServiceEntry", "serviceentries", NETWORKING, _ALL, ServiceEntrySpec, ("se",)),
    Kind("Sidecar", "sidecars", NETWORKING, _ALL, SidecarSpec),
    Kind("EnvoyFilter", "envoyfilters", NETWORKING, ("v1alpha3",), EnvoyFilterSpec, ("ef",)),
    Kind("WorkloadEntry", "workloadentries", NETWORKING, _ALL, WorkloadEntrySpec, ("we",)),
    Kind(
        "WorkloadGroup",
        "workloadgroups",
        NETWORKING,
        _ALL,
        short_names=("wg",),
        instead="write a Workload, or start the command with `mizzen run`: Mizzen runs what joins the mesh, so that labels,"
        " serviceAccount, ports and probe stand there; for what runs elsewhere there is WorkloadEntry",
    ),
    Kind("ProxyConfig", "proxyconfigs", NETWORKING, ("v1beta1",), ProxyConfigSpec, ("pc",)),
    Kind(
        "AuthorizationPolicy",
        "authorizationpolicies",
        SECURITY,
        ("v1", "v1beta1"),
        short_names=("ap",),
        instead="remove it: only workloads of the mesh get in, by mutual TLS, but each of them may call each other",
    ),
    Kind(
        "PeerAuthentication",
        "peerauthentications",
        SECURITY,
        ("v1", "v1beta1"),
        short_names=("pa",),
        instead="remove it: without it mutual TLS is STRICT, and nothing makes it less; who would call in plaintext, as PERMISSIVE and"
        " DISABLE allow, joins the mesh by `mizzen run` or `mizzen attach`, or comes through a gateway",
    ),
    Kind("RequestAuthentication", "requestauthentications", SECURITY, ("v1", "v1beta1"), short_names=("ra",)),
    Kind("Telemetry", "telemetries", TELEMETRY, ("v1", "v1alpha1")),
    Kind("WasmPlugin", "wasmplugins", EXTENSIONS, ("v1alpha1",)),
    Kind("TrafficExtension", "trafficextensions", EXTENSIONS, ("v1alpha1",)),
    Kind("HTTPRoute", "httproutes", GATEWAY_API, ("v1", "v1beta1")),
    Kind("GRPCRoute", "grpcroutes", GATEWAY_API, ("v1",)),
    Kind("TCPRoute", "tcproutes", GATEWAY_API, ("v1alpha2",)),
    Kind("TLSRoute", "tlsroutes", GATEWAY_API, ("v1", "v1alpha3", "v1alpha2")),
    Kind("GatewayClass", "gatewayclasses", GATEWAY_API, ("v1", "v1beta1"), short_names=("gc",)),
    Kind("Gateway", "gateways", GATEWAY_API, ("v1", "v1beta1")),
    Kind("ReferenceGrant", "referencegrants", GATEWAY_API, ("v1", "v1beta1")),
)

KUBERNETES_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob"})
"""Kubernetes' kinds for what runs; here a Workload says it."""

KUBERNETES_OTHERS = frozenset({"ConfigMap", "Ingress", "Namespace", "ServiceAccount"})
"""Further Kubernetes kinds that often stand in the same files."""

_BY_KIND: MappingProxyType[str, Kind] = MappingProxyType({kind.kind: kind for kind in reversed(KINDS)})
_BY_NAME: MappingProxyType[str, Kind] = MappingProxyType(
    {name: kind for kind in reversed(KINDS) for name in kind.names}
)

IMPLEMENTED: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind.implemented)


def find_kind(name: str) -> Kind | None:
    """Returns the kind of a name that a user typed: ``vs``, ``virtualservices``, ``VirtualService``; None if unknown."""
    return _BY_KIND.get(name) or _BY_NAME.get(name.lower())


def kind_of(api_version: str, kind: str) -> Kind | None:
    """Returns the kind that a manifest names exactly; None if there is none in that API group and version."""
    return next((known for known in KINDS if known.kind == kind and api_version in known.api_versions), None)
