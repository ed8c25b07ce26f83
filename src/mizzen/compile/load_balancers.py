"""Load balancers: which endpoint of a cluster gets the next request (LoadBalancerSettings, Istio 1.2)."""

from __future__ import annotations

from mizzen.compile import hashing
from mizzen.compile.protos import duration
from mizzen.resources.destination_rule import LoadBalancerSettings, Warmup
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster

_POLICIES = {
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "RANDOM": Cluster.RANDOM,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
    "UNSPECIFIED": Cluster.LEAST_REQUEST,
}
AS_DIALLED = LoadBalancerSettings(simple="PASSTHROUGH")

# Envoy wants a name by which its runtime could say otherwise; nobody does.
_AGGRESSION = "mizzen.warmup.aggression"


def passes_through(given: LoadBalancerSettings | None) -> bool:
    """Tells whether there is nothing to balance: connections go where the client wanted them to."""
    return bool(given and given.simple == "PASSTHROUGH")


def apply(cluster: Cluster, given: LoadBalancerSettings | None, *, http: bool) -> None:
    """Sets which of its endpoints a cluster chooses, by least request if nothing is written.

    ``http`` says that requests are read.
    """
    if passes_through(given):
        # Without load assignment: Envoy makes an endpoint of each address that a client dialled (Istio 2.9).
        cluster.type, cluster.lb_policy = Cluster.ORIGINAL_DST, Cluster.CLUSTER_PROVIDED
        return
    if given and given.consistent_hash:
        hashing.apply(cluster, given.consistent_hash, http=http)
        return
    cluster.lb_policy = _POLICIES[(given and given.simple) or "LEAST_REQUEST"]
    if given and (warmup := _warmup(given)):
        if cluster.lb_policy == Cluster.ROUND_ROBIN:
            _slow_start(cluster.round_robin_lb_config.slow_start_config, warmup)
        elif cluster.lb_policy == Cluster.LEAST_REQUEST:
            _slow_start(cluster.least_request_lb_config.slow_start_config, warmup)


def _warmup(given: LoadBalancerSettings) -> Warmup | None:
    """Returns the warm-up, also if it is written in the older form, which has a duration alone."""
    if given.warmup or given.warmup_duration_secs is None:
        return given.warmup
    return Warmup(duration=given.warmup_duration_secs)


def _slow_start(config: Cluster.SlowStartConfig, warmup: Warmup) -> None:
    # Envoy's defaults are Istio's: an endpoint that has just come gets 10 % of its load, and more evenly.
    config.slow_start_window.CopyFrom(duration(warmup.duration or 0))
    if warmup.aggression is not None:
        config.aggression.default_value, config.aggression.runtime_key = warmup.aggression, _AGGRESSION
    if warmup.minimum_percent is not None:
        config.min_weight_percent.value = warmup.minimum_percent
