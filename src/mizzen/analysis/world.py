"""All items of an analysis, indexed: by kind and name, services by host, workloads by label.

What is looked for often is found without walking over everything, so that a thousand resources take no time to speak of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mizzen.analysis.destinations import Destinations
from mizzen.analysis.embedded import embedded
from mizzen.analysis.items import Item
from mizzen.analysis.values import Values, at, labels, mappings, number, selects, text
from mizzen.analysis.workloads import Workload, workload_of
from mizzen.resources.hosts import DEFAULT_DOMAIN

ROOT_NAMESPACE = "istio-system"
"""Istio's default for the namespace whose policies are for the whole mesh."""

INSTALLED_GATEWAYS = (
    {"istio": "ingressgateway", "app": "istio-ingressgateway"},
    {"istio": "egressgateway", "app": "istio-egressgateway"},
)
"""Labels of the gateways that Istio's own charts install: no user's files have them, and they are no mistake."""

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces of Kubernetes itself (istio/istio, ``pkg/kube/inject``)."""


@dataclass(frozen=True)
class Reference:
    """The name of another resource: ``namespace/name``, or ``name`` in the namespace of who refers to it."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, written: str, namespace: str) -> Reference:
        before, slash, after = written.partition("/")
        return cls(before, after) if slash else cls(namespace, written)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class World:
    """The resources that are analyzed together.

    ``mesh_config`` is Istio's MeshConfig as far as one was given; ``running`` says that the items are all that there are,
    because a running mesh's are among them: then even a kind without any item is known. ``now`` is for the validity of
    certificates; without it that is not looked at.

    Of items with one name the last counts, as for istioctl; ``replaced`` has the others, each with the one that counts.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        mesh_config: Values | None = None,
        running: bool = False,
        now: datetime | None = None,
    ) -> None:
        given = tuple(items)
        last = {_key(item): item for item in given}
        self.items = tuple(item for item in given if last[_key(item)] is item)
        self.replaced = tuple((item, last[_key(item)]) for item in given if last[_key(item)] is not item)
        self.running = running
        self.now = now
        self._mesh_config = mesh_config
        self._kinds: dict[tuple[str, str], list[Item]] = defaultdict(list)
        for item in self.items:
            self._kinds[item.group, item.kind].append(item)
        self._named = {(item.group, item.kind, item.namespace, item.name): item for item in self.items}

    def of(self, kind: str, group: str | None = None) -> Iterator[Item]:
        """Yields the items of a kind, in the order in which they were read; without a group, Istio's or Kubernetes'."""
        yield from self._kinds.get((_GROUPS[kind] if group is None else group, kind), ())

    def find(self, kind: str, reference: Reference, group: str | None = None) -> Item | None:
        """Returns the item of this name, if there is one."""
        group = _GROUPS[kind] if group is None else group
        return self._named.get((group, kind, reference.namespace, reference.name))

    def has(self, *kinds: str) -> bool:
        """Says whether a missing resource of these kinds is known to be missing.

        Files often are a part of what will run. Of a kind of which they have nothing, nothing is said.
        """
        return self.running or any(next(self.of(kind), None) is not None for kind in kinds)

    @cached_property
    def mesh_config(self) -> Values:
        """Istio's MeshConfig: the one that was given, or that of a ConfigMap ``istio`` among the items."""
        if self._mesh_config is not None:
            return self._mesh_config
        return next((values for _, values in self.istio_config("mesh")), {})

    def istio_config(self, key: str) -> Iterator[tuple[Item, Values]]:
        """Yields what the ConfigMaps of an installation hold under a key, which is YAML in text."""
        for item in self.of("ConfigMap"):
            if (item.name == "istio" or item.name.startswith("istio-")) and text(item.value, "data", key):
                yield item, embedded(text(item.value, "data", key))

    @cached_property
    def root_namespace(self) -> str:
        return text(self.mesh_config, "rootNamespace") or ROOT_NAMESPACE

    @cached_property
    def destinations(self) -> Destinations:
        """The hosts that can be called: of Services and of ServiceEntries."""
        return Destinations([*self.of("Service"), *self.of("ServiceEntry")])

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """All that runs or would: pods, what makes pods, and Mizzen's Workloads."""
        return tuple(found for item in self.items if (found := workload_of(item)) is not None)

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str], list[Workload]]:
        index: dict[tuple[str, str], list[Workload]] = defaultdict(list)
        for workload in self.workloads:
            for pair in workload.labels.items():
                index[pair].append(workload)
        return index

    @cached_property
    def _by_namespace(self) -> Mapping[str, list[Workload]]:
        index: dict[str, list[Workload]] = defaultdict(list)
        for workload in self.workloads:
            index[workload.namespace].append(workload)
        return index

    def selected(self, selector: Mapping[str, str], namespace: str | None = None) -> list[Workload]:
        """Returns the workloads with all labels of a selector, of one namespace or of all."""
        if selector:
            candidates = min((self._by_label.get(pair, []) for pair in selector.items()), key=len)
        else:
            candidates = list(self.workloads) if namespace is None else self._by_namespace.get(namespace, [])
        return [
            one
            for one in candidates
            if (namespace is None or one.namespace == namespace) and selects(selector, one.labels)
        ]

    def judges(self, host: str, namespace: str) -> bool:
        """Says whether a host that is not found is known to be missing, for a resource of ``namespace``.

        Of files that is so for hosts outside and for services of that namespace and of others that the files have
        services of; those of another team's namespace are in another repository.
        """
        if self.running:
            return True
        name, _, rest = host.partition(".")
        home, _, domain = rest.partition(".")
        inside = domain == f"svc.{DEFAULT_DOMAIN}" and name != "*"
        return self.has("Service", "ServiceEntry") and (not inside or home == namespace or home in self._services)

    def services_of(self, workload: Workload) -> list[Item]:
        """Returns the services whose selector picks a workload."""
        return [
            service
            for service in self._services.get(workload.namespace, ())
            if (selector := labels(service.spec, "selector")) and selects(selector, workload.labels)
        ]

    @cached_property
    def _services(self) -> Mapping[str, list[Item]]:
        index: dict[str, list[Item]] = defaultdict(list)
        for service in self.of("Service"):
            index[service.namespace].append(service)
        return index

    def is_installed_gateway(self, selector: Mapping[str, str]) -> bool:
        """Says whether a selector means one of the gateways that come with Istio, which only a cluster has."""
        return not self.running and bool(selector) and any(selects(selector, known) for known in INSTALLED_GATEWAYS)

    @cached_property
    def namespaces(self) -> Mapping[str, Item]:
        return {item.name: item for item in self.of("Namespace")}

    @cached_property
    def known_namespaces(self) -> frozenset[str]:
        """The namespaces that exist: written as such, or with something in them."""
        inhabited = (item.namespace for kind in ("Service", "Workload") for item in self.of(kind))
        return frozenset([*self.namespaces, *inhabited, *self._by_namespace])

    def in_mesh(self, workload: Workload) -> bool:
        """Says whether a workload has a proxy, or will get one (istio/istio, ``analyzers/util/in_mesh.go``).

        Where the namespace of a file's pods is not among the files, it is taken to be in the mesh.
        """
        if workload.joins is not None:
            return workload.joins
        namespace = self.namespaces.get(workload.namespace)
        if namespace is None:
            return True
        return injected(namespace.labels) or is_ambient(namespace.labels)


def _key(item: Item) -> tuple[object, ...]:
    # What has no name is itself alone.
    return (item.group, item.kind, item.namespace, item.name) if item.name else (id(item),)


def injected(given: Mapping[str, str]) -> bool:
    """Says whether a namespace's labels ask for sidecars."""
    return given.get("istio-injection") == "enabled" or (
        "istio.io/rev" in given and given.get("istio-injection") != "disabled"
    )


def is_ambient(given: Mapping[str, str]) -> bool:
    """Says whether a namespace's pods are served without sidecars."""
    return not injected(given) and given.get("istio.io/dataplane-mode") == "ambient"


def is_control_plane(given: Mapping[str, str]) -> bool:
    """Says whether labels are those of a part of Istio."""
    return "istio" in given or given.get("release") == "istio"


def target_ports(service: Item, workload: Workload) -> set[int]:
    """Returns the numbers of a workload's ports to which a service leads."""
    found = set()
    for port in mappings(service.spec, "ports"):
        target = at(port, "targetPort")
        if isinstance(target, str):
            found |= {workload.port(target)} - {0}
        else:
            found.add(number(port, "targetPort") or number(port, "port"))
    return found


_GROUPS: Mapping[str, str] = {
    "AuthorizationPolicy": "security.istio.io",
    "ConfigMap": "",
    "CustomResourceDefinition": "apiextensions.k8s.io",
    "Deployment": "apps",
    "DestinationRule": "networking.istio.io",
    "EnvoyFilter": "networking.istio.io",
    "Gateway": "networking.istio.io",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io",
    "Namespace": "",
    "Pod": "",
    "RequestAuthentication": "security.istio.io",
    "Secret": "",
    "Service": "",
    "ServiceEntry": "networking.istio.io",
    "Sidecar": "networking.istio.io",
    "Telemetry": "telemetry.istio.io",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io",
    "VirtualService": "networking.istio.io",
    "WasmPlugin": "extensions.istio.io",
    "Workload": "mizzen.dev",
}
