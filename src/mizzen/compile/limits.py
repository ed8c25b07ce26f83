"""The filters of RateLimits at an instance: for requests, and for connections."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.compile import connection_limits, rate_limits
from mizzen.compile.memory import remember
from mizzen.compile.resource import XdsResource
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Instance, RateLimit


class Limits:
    """Builds the filters of instances, and remembers them."""

    def __init__(self) -> None:
        self._of_requests = remember(rate_limits.build_local), remember(rate_limits.build_shared)
        self._of_connections = remember(connection_limits.build_new), remember(connection_limits.build_open)

    def of(
        self, instance: Instance, rule: RateLimit | None, seat: Seat = ALONE, *, gateway: bool = False
    ) -> Iterator[XdsResource]:
        """Yields the filters of all that takes what comes in."""
        for builders, views in (
            (self._of_requests, rate_limits.views_of(instance, rule, seat, gateway=gateway)),
            (self._of_connections, connection_limits.views_of(instance, rule, seat, gateway=gateway)),
        ):
            for view in views:
                for build in builders:
                    yield build(view)
