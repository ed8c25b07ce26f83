"""Rules for the MeshConfig."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, warning
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.validation.load_balancers import locality


def mesh_config(spec: MeshConfigSpec) -> Iterator[Finding]:
    policy = spec.outbound_traffic_policy
    if policy is not None and "mode" not in policy.model_fields_set:
        message = "without a mode it is REGISTRY_ONLY, as in Istio: connections go to known services alone"
        yield warning("spec.outboundTrafficPolicy", message, "write `mode: REGISTRY_ONLY` or `mode: ALLOW_ANY`")
    if spec.locality_lb_setting is not None:
        # Which clusters have outlier detection, which failover needs, DestinationRules say.
        yield from locality("spec.localityLbSetting", spec.locality_lb_setting, detects=True)
