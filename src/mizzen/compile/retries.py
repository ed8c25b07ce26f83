"""Retry policies (Istio 2.8): what is tried again, how often, and where."""

from __future__ import annotations

from mizzen.compile.protos import duration, uint32
from mizzen.compile.resource import pack
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.virtual_service import HTTPRetry
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RetryPolicy
from mizzen.stubs.envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from mizzen.stubs.envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)
from mizzen.stubs.envoy.type.matcher.v3.string_pb2 import StringMatcher

DEFAULT_CONDITIONS = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
NEVER_SENT_CONDITIONS = "connect-failure,refused-stream,reset-before-request"
"""Those of Envoy's conditions after which no server has been sent anything (MeshConfig's ``retryOnlyUnsent``)."""
DEFAULT_ATTEMPTS = 2
UNDELIVERED_HEADER = "x-mizzen-undelivered"
"""Bears the answer of a callee's proxy that could not connect to its application: nothing has been acted on."""
UNDELIVERED = "true"

# Istio has 5. But the least busy of two is an endpoint that fails at once: of two, of which one is such, it is chosen three
# times in four, and a retry would come back to it in every fourth case.
_HOST_SELECTION_ATTEMPTS = 30


def outbound_retries(
    retries: HTTPRetry | None, *, hashed: bool = False, mesh: MeshConfigSpec | None = None
) -> RetryPolicy | None:
    """Builds the retry policy of an outbound route: what the rule says, else the mesh, else Istio's default; None is no retries.

    The default repeats only what no server has acted on. A rule with 0 attempts takes the policy away. Between a caller's
    proxy and the application there is the callee's proxy, so ``connect-failure`` is also what that one tells of. A request
    that is ``hashed`` stays with its endpoint (Istio 1.1), unless the rule says otherwise.
    """
    conditions = NEVER_SENT_CONDITIONS if mesh and mesh.only_unsent else DEFAULT_CONDITIONS
    if retries is None and mesh:
        retries = mesh.default_http_retry_policy
    if retries is None:
        policy = RetryPolicy(retry_on=conditions, num_retries=uint32(DEFAULT_ATTEMPTS))
    elif retries.attempts <= 0:
        return None
    else:
        policy = _own_policy(retries, conditions)
    if "connect-failure" in policy.retry_on.split(","):
        policy.retry_on += ",retriable-headers"
        policy.retriable_headers.append(
            HeaderMatcher(name=UNDELIVERED_HEADER, string_match=StringMatcher(exact=UNDELIVERED))
        )
    policy.host_selection_retry_max_attempts = _HOST_SELECTION_ATTEMPTS
    elsewhere = not hashed
    if retries and retries.retry_ignore_previous_hosts is not None:
        elsewhere = retries.retry_ignore_previous_hosts
    if elsewhere:
        policy.retry_host_predicate.add(
            name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
        )
    if retries and retries.retry_remote_localities:
        # As Istio has it: after two attempts the priorities that these were of are left out.
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        policy.retry_priority.typed_config.CopyFrom(pack(PreviousPrioritiesConfig(update_frequency=2)))
    return policy


def _own_policy(retries: HTTPRetry, default: str) -> RetryPolicy:
    conditions, codes = split_conditions(retries.retry_on, default)
    policy = RetryPolicy(retry_on=conditions, num_retries=uint32(retries.attempts), retriable_status_codes=codes)
    if retries.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(duration(retries.per_try_timeout))
    if retries.backoff is not None:
        policy.retry_back_off.base_interval.CopyFrom(duration(retries.backoff))
    return policy


def split_conditions(retry_on: str, default: str = DEFAULT_CONDITIONS) -> tuple[str, list[int]]:
    """Splits Istio's ``retryOn`` into Envoy's conditions and status codes; empty means the default ones."""
    if not retry_on:
        return default, []
    conditions, codes = [], []
    for token in (part.strip() for part in retry_on.split(",")):
        if token.isdigit():
            codes.append(int(token))
        elif token:
            conditions.append(token)
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    return ",".join(conditions), codes


def inbound_retries(retries: HTTPRetry | None = None) -> RetryPolicy | None:
    """Builds the policy between a sidecar and its application: only what the application has not begun to read, unless the
    mesh says otherwise; None is no retries.
    """
    given = retries or HTTPRetry(attempts=DEFAULT_ATTEMPTS)
    return _own_policy(given, "reset-before-request") if given.attempts > 0 else None
