"""The model of ``networking.istio.io`` ProxyConfig: how the proxies of workloads are started."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mizzen.resources.model import Later, Model, StringMap

_NO_IMAGE = "remove it: a proxy is the Envoy of Mizzen's own package, which is in no image"

METADATA_PREFIX = "ISTIO_META_"
"""What a variable is called that becomes a part of the metadata of the proxy's node, without this."""

HTTP10 = "HTTP10"
"""What of the metadata says, with ``1``, that a proxy takes HTTP/1.0."""
OWN_METADATA: frozenset[str] = frozenset(
    {
        "NAME",
        "NAMESPACE",
        "WORKLOAD_NAME",
        "SERVICE_ACCOUNT",
        "MESH_ID",
        "TRUST_DOMAIN",
        "INSTANCE_IPS",
        "INTERCEPTION_MODE",
        "LABELS",
        "MIZZEN_VERSION",
    }
)
"""What Mizzen says there of each proxy, whatever a variable says."""
TELLING_METADATA: frozenset[str] = frozenset({"UID", "GENERATOR"})
"""What tells the control plane which proxy asks, and what for."""


class ProxySelector(Model):
    match_labels: StringMap = Field(default_factory=dict)


class ProxyConfigSpec(Model):
    """Without a selector it is for all workloads of its namespace, and from the root namespace for all of the mesh.

    ``concurrency`` are the worker threads of an Envoy; 0 stands for one on each core.
    """

    selector: ProxySelector | None = None
    concurrency: int | None = None
    environment_variables: StringMap = Field(default_factory=dict)
    image: Annotated[Any, Later(reason=_NO_IMAGE)] = None

    @property
    def concerns_start(self) -> bool:
        """Whether it says anything that takes effect when an Envoy starts; of HTTP/1.0 the control plane makes listeners."""
        variables = self.environment_variables.keys() - {f"{METADATA_PREFIX}{HTTP10}"}
        return self.concurrency is not None or bool(variables)
