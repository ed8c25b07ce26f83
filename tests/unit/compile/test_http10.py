"""HTTP/1.0, which proxies take where a ProxyConfig says so, and answer with 426 elsewhere."""

from __future__ import annotations

import pytest
from tests.support.compiled import Compiled, compiled, every_manager
from tests.support.worlds import Snapshots, read
from tests.support.written import (
    gateway,
    gateway_workload,
    proxy_config,
    server,
    service,
    sidecar,
    to,
    virtual_service,
    workload,
)

from mizzen.compile.compiler import Compiler

WORLD = (
    service("reviews"),
    workload("reviews"),
    workload("client"),
    gateway_workload(),
    gateway("edge", server()),
    virtual_service("outside", to("reviews"), hosts=["*"], gateways=["edge"]),
)
TAKEN = {"ISTIO_META_HTTP10": "1"}


def of_mesh() -> str:
    return proxy_config("mesh", namespace="istio-system", environmentVariables=TAKEN)


def taking(made: Compiled) -> list[bool]:
    return [one.http_protocol_options.accept_http_10 for one in every_manager(made).values()]


@pytest.mark.parametrize(
    ("capture", "proxy"),
    [
        ("transparent", "reviews-0.default"),
        ("explicit", "reviews-0.default"),
        ("node", "host.mizzen-system"),
        ("transparent", "ingress-0.default"),
    ],
)
def test_all_connection_managers_of_a_proxy_take_it_or_none(capture: str, proxy: str) -> None:
    before = taking(compiled(*WORLD, capture=capture, proxy=proxy))
    assert before
    assert not any(before)
    assert all(taking(compiled(*WORLD, of_mesh(), capture=capture, proxy=proxy)))


def test_a_port_that_a_sidecar_opens_takes_it_too() -> None:
    listener = {"port": {"number": 9080, "protocol": "HTTP", "name": "http"}, "bind": "127.0.0.9", "hosts": ["*/*"]}
    found = taking(compiled(*WORLD, of_mesh(), sidecar(listener)))
    assert len(found) >= 1
    assert all(found)


def test_it_is_for_the_workloads_of_a_proxy_config_and_comes_and_goes_with_it() -> None:
    compiler, snapshots = Compiler(), Snapshots("transparent")
    chosen = proxy_config("old", selector={"matchLabels": {"app": "client"}}, environmentVariables=TAKEN)
    found = []
    for texts in ((), (chosen,), ()):
        snapshot = snapshots.next(read(*WORLD, *texts))
        made = [
            Compiled(compiler.compile(snapshot.proxies[name], snapshot))
            for name in ("client-0.default", "reviews-0.default")
        ]
        found.append([any(taking(one)) for one in made])
    assert found == [[False, False], [True, False], [False, False]]
