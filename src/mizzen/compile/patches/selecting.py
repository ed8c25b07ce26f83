"""Which patches are for an instance's proxy, and what that says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mizzen.compile.names import UID_METADATA
from mizzen.compile.patches.matching import in_context
from mizzen.compile.patches.patch import Patches, patches_of
from mizzen.compile.patches.places import INBOUND, Subject
from mizzen.compile.seats import Seat
from mizzen.mesh.envoy_filters import VERSION, selected
from mizzen.mesh.model import Capture, EnvoyFilter, Instance, Labels, Snapshot
from mizzen.mesh.proxy_configs import proxy_start
from mizzen.mesh.spiffe import SpiffeId
from mizzen.resources.envoy_filter import OF_LISTENERS, OF_ROUTES

_READ = (OF_LISTENERS | OF_ROUTES) - {"LISTENER", "FILTER_CHAIN", "LISTENER_FILTER"}


class Selection:
    """Selects patches, and remembers what it selected for as long as there are the same EnvoyFilters."""

    def __init__(self) -> None:
        self._known: tuple[object, ...] = ()
        self._asked: tuple[str, ...] = ()
        self._made: dict[tuple[str, Labels, Seat, tuple[tuple[str, str], ...]], Patches] = {}

    def patches(self, snapshot: Snapshot, subject: Subject) -> Patches:
        """Returns the patches for an instance's proxy, in order."""
        filters, root = snapshot.envoy_filters, snapshot.root_namespace
        if not filters:
            return ()
        known = (filters, snapshot.proxy_configs, root)
        if known != self._known:
            self._known, self._made = known, {}
            self._asked = _asked(filters)
        said = metadata_of(subject.instance, snapshot) if self._asked else {}
        metadata = {name: said[name] for name in self._asked if name in said}
        key = (subject.instance.namespace, subject.instance.labels, subject.seat, tuple(metadata.items()))
        if key not in self._made:
            found = selected(filters, subject.instance.namespace, subject.instance.labels, root)
            self._made[key] = patches_of(found, metadata, subject.seat)
        return self._made[key]


def _asked(filters: Iterable[EnvoyFilter]) -> tuple[str, ...]:
    """Returns what of proxies' metadata patches ask for. Most ask for nothing, and are the same for all replicas."""
    matches = [written.match.proxy for one in filters for written in one.spec.config_patches if written.match.proxy]
    names = {name for match in matches for name in match.metadata}
    return tuple(sorted(names | {VERSION for match in matches if match.proxy_version}))


def metadata_of(instance: Instance, snapshot: Snapshot) -> Mapping[str, str]:
    """Returns what a proxy says of an instance, as far as it is text (see :mod:`mizzen.node.bootstrap`)."""
    account = SpiffeId.parse(instance.identity).service_account if instance.identity else ""
    said = proxy_start(snapshot.proxy_configs, instance.namespace, instance.labels, snapshot.root_namespace).metadata
    return {
        **said,
        "NAME": instance.id.removesuffix(f".{instance.namespace}"),
        "NAMESPACE": instance.namespace,
        "WORKLOAD_NAME": instance.origin.name,
        "SERVICE_ACCOUNT": account,
        "TRUST_DOMAIN": snapshot.trust_domain,
        "INSTANCE_IPS": instance.address,
        "INTERCEPTION_MODE": "REDIRECT" if instance.capture is Capture.TRANSPARENT else "NONE",
        **({UID_METADATA: instance.uid} if instance.uid else {}),
    }


def reads_inbound(patches: Patches) -> bool:
    """Tells whether patches are for what a proxy does with the requests to its workload."""
    return any(one.target in _READ and in_context(one, INBOUND) for one in patches)
