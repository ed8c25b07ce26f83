"""What is for no service, where the mesh has requests go to what their hosts mean (ALLOW_ANY_DYNAMIC_DNS)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import Snapshots, read
from tests.support.written import mesh_config, service, sidecar, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.names import DYNAMIC_DNS, PASSTHROUGH, VIRTUAL_OUTBOUND
from mizzen.compile.pools import HTTP_OPTIONS
from mizzen.compile.resource import LISTENER
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

WORLD = (
    service("reviews"),
    service("db", ("tcp", 3306)),
    service("any", ("what", 7000)),
    workload("reviews"),
    workload("client"),
)


def mesh(mode: str = "ALLOW_ANY_DYNAMIC_DNS", **policy: Any) -> str:
    return mesh_config(outboundTrafficPolicy={"mode": mode, **policy})


def world(*texts: str, **options: Any) -> Compiled:
    return compiled(*WORLD, *(texts or (mesh(),)), **options)


def unknown(made: Compiled, name: str) -> str:
    """Returns where a route configuration leads to for hosts that no service has."""
    (rest,) = [host for host in made.routes[name].virtual_hosts if host.name == "allow_any"]
    return rest.routes[0].route.cluster


@pytest.mark.parametrize(("capture", "routes"), [("transparent", "9080"), ("explicit", "http_proxy")])
def test_requests_are_looked_up_and_bytes_go_where_they_were_sent(capture: str, routes: str) -> None:
    made = world(capture=capture)
    assert unknown(made, routes) == DYNAMIC_DNS
    assert made.clusters[DYNAMIC_DNS].cluster_type.name == "envoy.clusters.dynamic_forward_proxy"
    rest = made.filters["virtualOutbound-catchall-tcp"].typed_config
    assert TcpProxy.FromString(rest.value).cluster == PASSTHROUGH


@pytest.mark.parametrize("own", [{"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}, {}])
def test_what_a_sidecar_says_counts_more(own: dict[str, Any]) -> None:
    narrowed = sidecar("*/*", name="default", namespace="default", **own)
    made = world(mesh(), narrowed, capture="transparent")
    assert unknown(made, "9080") == (PASSTHROUGH if own else DYNAMIC_DNS)
    assert (DYNAMIC_DNS in made.clusters) == (not own)
    assert bool(made.listeners[VIRTUAL_OUTBOUND].listener_filters) == (not own)


def test_in_a_shared_proxy_nobody_waits_for_a_client_on_a_port_of_bytes() -> None:
    made = world(capture="node", proxy="host.mizzen-system")
    listener = made.listeners[f"client-0.default/{VIRTUAL_OUTBOUND}"]
    (found,) = [one for one in listener.listener_filters if one.name == "envoy.filters.listener.http_inspector"]
    ports = [one.destination_port_range.start for one in found.filter_disabled.or_match.rules]
    assert ports == [3306, 9080]
    assert f"client-0.default/{DYNAMIC_DNS}" in made.clusters


def test_a_change_of_the_mode_alone_is_a_change() -> None:
    compiler, snapshots = Compiler(), Snapshots("transparent")
    found = []
    for mode in ("ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS", "ALLOW_ANY"):
        snapshot = snapshots.next(read(*WORLD, mesh(mode)))
        made = compiler.compile(snapshot.proxies["client-0.default"], snapshot)
        found.append(len(Listener.FromString(made[LISTENER][VIRTUAL_OUTBOUND].body).listener_filters))
    assert found == [0, 1, 0]


@pytest.mark.parametrize(
    ("tls", "server", "asked", "checked"),
    [
        ({"mode": "SIMPLE"}, "", True, True),
        ({"mode": "SIMPLE", "insecureSkipVerify": True}, "", True, False),
        ({"mode": "SIMPLE", "sni": "a.example"}, "a.example", False, False),
    ],
)
def test_the_host_of_a_request_is_the_name_that_its_server_must_prove(
    tls: dict[str, Any], server: str, asked: bool, checked: bool
) -> None:
    cluster = world(mesh(tls=tls)).clusters[DYNAMIC_DNS]
    options = HttpProtocolOptions.FromString(cluster.typed_extension_protocol_options[HTTP_OPTIONS].value)
    assert cluster.transport_socket.name == "envoy.transport_sockets.tls"
    assert server.encode() in cluster.transport_socket.typed_config.value
    assert options.upstream_http_protocol_options.auto_sni == asked
    assert options.upstream_http_protocol_options.auto_san_validation == checked
    assert options.common_http_protocol_options.idle_timeout.seconds == 300
