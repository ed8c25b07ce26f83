"""What must be so in everything that any golden case compiles to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.cases import Case, cases
from tests.support.compiled import Compiled, every_manager

from mizzen.compile.compiler import Compiler
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration

CASES = cases()


def of_envoys(case: Case) -> Iterator[Compiled]:
    """What each of the case's Envoys is given."""
    compiler = Compiler()
    for proxy in case.subjects():
        if proxy.kind is not ProxyKind.PROXYLESS:
            yield Compiled(compiler.compile(proxy, case.snapshot))


def all_routes(made: Compiled) -> Iterator[Route]:
    """The routes that lead somewhere: those that come by RDS, and those that stand in a listener."""
    inline = [one.route_config for one in every_manager(made).values() if one.HasField("route_config")]
    configs: list[RouteConfiguration] = [*made.routes.values(), *inline]
    for config in configs:
        for host in config.virtual_hosts:
            yield from (route for route in host.routes if route.HasField("route"))


@pytest.mark.trap(15)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_route_says_its_timeout(case: Case) -> None:
    silent = [
        route.name for made in of_envoys(case) for route in all_routes(made) if not route.route.HasField("timeout")
    ]
    assert not silent


@pytest.mark.trap(17)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_cluster_with_endpoints_says_its_panic_threshold(case: Case) -> None:
    for made in of_envoys(case):
        led = {name: one for name, one in made.clusters.items() if name in made.endpoints}
        silent = [name for name, one in led.items() if not one.common_lb_config.HasField("healthy_panic_threshold")]
        assert not silent
