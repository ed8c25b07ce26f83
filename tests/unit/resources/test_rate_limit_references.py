"""What is said of RateLimits among other resources."""

from __future__ import annotations

from typing import Any

from tests.support.worlds import read
from tests.support.written import gateway_workload, rate_limit, service, to, virtual_service, workload

from mizzen.resources.problems import Level, Problem
from mizzen.resources.references import check_references

LIMIT = {"name": "all", "requests": 5, "unit": "SECOND"}


def found(*texts: str) -> list[Problem]:
    return [one for one in check_references(read(*texts)) if one.resource and one.resource.kind == "RateLimit"]


def limit(name: str = "a", app: str = "web", **more: Any) -> str:
    return rate_limit(name, selector={"matchLabels": {"app": app}}, limits=[LIMIT | more])


def test_one_that_selects_nothing_is_a_warning() -> None:
    (one,) = found(limit(), workload("other"))
    assert (one.level, one.code, one.path) == (Level.WARNING, "NoWorkload", "spec.selector")
    assert one.message == "the rate limit selects no Workload (app: web) in namespace default"
    assert found(limit(), workload("web")) == []
    assert found(rate_limit("a", limits=[LIMIT]), workload("web")) == []


def test_where_no_requests_are_read_nothing_can_be_limited() -> None:
    (one,) = found(limit(), workload("web", ("tcp", 9000)))
    assert (one.level, one.code) == (Level.WARNING, "NothingToLimit")
    assert found(limit(), workload("web", ("odd", 9000))) == []


def test_connections_are_counted_where_bytes_are_carried() -> None:
    counted = rate_limit("a", selector={"matchLabels": {"app": "web"}}, connections={"open": 5})
    (one,) = found(counted, workload("web"))
    assert (one.level, one.code, one.path) == (Level.WARNING, "NothingToLimit", "spec.connections")
    for port in ("tcp", "odd"):
        assert found(counted, workload("web", ("http", 80), (port, 9000))) == []


def test_a_workload_has_one() -> None:
    (one,) = found(limit(), limit("b"), workload("web"))
    assert (one.level, one.code, str(one.resource)) == (Level.ERROR, "SeveralRateLimits", "RateLimit default/b")
    assert "RateLimit default/a at test-0.yaml:7:1 selects it too" in one.message


def test_a_route_must_be_there_and_is_said_with_both_lines() -> None:
    routes = virtual_service("shop", {"name": "slow", **to("web")}, hosts=["*"], gateways=["edge"])
    at_gateway = {"selector": {"matchLabels": {"istio": "ingressgateway"}}}

    def named(route: str) -> list[Problem]:
        text = rate_limit("a", **at_gateway, limits=[LIMIT | {"match": {"route": route}}])
        return found(text, routes, gateway_workload())

    assert named("shop/slow") == named("default/shop/slow") == []
    (one,) = named("shop/slo")
    assert str(one).startswith("test-0.yaml:")
    assert "VirtualService default/shop at test-1.yaml:10:3 has no route with the name 'slo'" in one.message
    assert one.hint == "did you mean `slow`?"
    (one,) = named("shopp/slow")
    assert (one.level, one.hint) == (Level.ERROR, "did you mean `default/shop/slow`?")


def test_a_route_of_a_delegate_is_the_roots_and_has_both_names() -> None:
    root = virtual_service("shop", {"name": "api", "delegate": {"name": "part"}}, hosts=["*"], gateways=["edge"])
    part = virtual_service("part", {"name": "slow", **to("web")}, to("web"), hosts=[])
    at_gateway = {"selector": {"matchLabels": {"istio": "ingressgateway"}}}

    def named(route: str) -> list[Problem]:
        text = rate_limit("a", **at_gateway, limits=[LIMIT | {"match": {"route": route}}])
        return found(text, root, part, gateway_workload())

    assert named("shop/api-slow") == named("shop/api") == []
    (one,) = named("shop/slow")
    assert (one.level, one.code, one.hint) == (Level.ERROR, "IST0101", "did you mean `api-slow`?")
    (one,) = named("part/slow")
    assert one.message == "VirtualService default/part is a delegate: its routes are those of who delegates to it"


def test_requests_to_a_workload_have_no_route() -> None:
    routes = virtual_service("shop", {"name": "slow", **to("web")}, hosts=["web"])
    (one,) = found(limit(match={"route": "shop/slow"}), routes, workload("web"), service("web"))
    assert (one.level, one.code) == (Level.ERROR, "NoRoutesHere")


def test_a_server_that_counts_must_be_there_and_speak_grpc() -> None:
    def asking(host: str, port: int) -> list[str]:
        descriptors = [{"entries": [{"key": "a", "value": "b"}]}]
        shared = {"server": {"host": host, "port": port}, "domain": "shop", "descriptors": descriptors}
        text = rate_limit("a", **{"global": shared})
        return [one.code for one in found(text, workload("web"), service("limiter", ("grpc", 9000), ("http", 80)))]

    assert asking("limiter", 9000) == []
    assert asking("limiter", 80) == ["NoGrpc"]
    assert asking("limiter", 81) == ["IST0101"]
    assert asking("nobody", 9000) == ["IST0101"]
