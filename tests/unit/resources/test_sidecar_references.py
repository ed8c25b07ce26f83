from __future__ import annotations

from typing import Any

import pytest
from tests.support.worlds import read
from tests.support.written import gateway_workload, service, service_entry, sidecar, virtual_service, workload

from mizzen.resources.problems import Level
from mizzen.resources.references import check_references

WORLD = (
    service("reviews", ("http", 80), ("tcp", 81), namespace="shop"),
    service("ratings", ("http", 80), ("tcp", 81), namespace="shop"),
    service("web"),
    workload("web"),
    workload("reviews", ("http", 80), ("tcp", 81), namespace="shop"),
    workload("ratings", ("http", 80), ("tcp", 81), namespace="shop"),
    service_entry("api", namespace="shop"),
    virtual_service("routes", {"directResponse": {"status": 200}}, hosts=["*.example.org"]),
)
REVIEWS = "reviews.shop.svc.cluster.local"


def said(*texts: str) -> list[str]:
    problems = check_references(read(*WORLD, *texts))
    assert {problem.level for problem in problems} <= {Level.WARNING}
    return [f"{problem.code} {problem.path}: {problem.message} ({problem.hint})" for problem in problems]


def selecting(name: str, labels: dict[str, str], **spec: Any) -> str:
    return sidecar("*/*", name=name, workloadSelector={"labels": labels}, **spec)


@pytest.mark.parametrize(
    "hosts",
    [["./*", "istio-system/*"], [f"shop/{REVIEWS}"], ["*/api.example.com"], ["./a.example.org"], ["~/gone.com", "*/*"]],
)
def test_nothing_is_said_of_what_selects_something_or_may_do_so(hosts: list[str]) -> None:
    assert said(sidecar(*hosts)) == []


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (
            f"./{REVIEWS}",
            (
                f"IST0101 spec.egress[0].hosts[0]: './{REVIEWS}' selects nothing: {REVIEWS} is not in that namespace "
                f"(it is in namespace shop: write `shop/{REVIEWS}`)"
            ),
        ),
        (
            "shop/reviews",
            (
                "IST0101 spec.egress[0].hosts[0]: host not found: 'shop/reviews' selects no service "
                f"(did you mean `{REVIEWS}`? A host is written in full)"
            ),
        ),
        (
            "*/api.exmple.com",
            (
                "IST0101 spec.egress[0].hosts[0]: host not found: '*/api.exmple.com' selects no service "
                "(did you mean `api.example.com`? A host is written in full)"
            ),
        ),
    ],
)
def test_a_host_that_no_service_has(host: str, words: str) -> None:
    assert said(sidecar(host)) == [words]


def test_a_selector_that_matches_nothing() -> None:
    (words,) = said(selecting("one", {"app": "gone"}))
    assert words.startswith("IST0101 spec.workloadSelector: the selector matches no Workload in namespace default")


def test_a_gateway_obeys_no_sidecar_and_is_none_that_is_selected() -> None:
    (words,) = said(gateway_workload(), selecting("one", {"istio": "ingressgateway"}))
    assert "matches no Workload" in words


def test_of_two_for_one_workload_the_younger_is_told() -> None:
    (words,) = said(selecting("one", {"app": "web"}), selecting("two", {}))
    assert words.startswith(
        "IST0110 spec.workloadSelector: Workload default/web is selected by Sidecar default/one at test-8.yaml:"
    )


def test_of_two_for_one_namespace_the_younger_is_told() -> None:
    (words,) = said(sidecar("./*", name="one"), sidecar("./*", name="two"), sidecar("./*", namespace="shop"))
    assert words.startswith("IST0111 metadata.name: namespace default has one Sidecar without a selector")


def test_a_port_that_no_workload_declares() -> None:
    (words,) = said(
        selecting("one", {"app": "web"}, ingress=[{"port": {"number": 1, "protocol": "HTTP", "name": "a"}}])
    )
    assert words.startswith("IST0101 spec.ingress[0].port.number: no Workload that it selects declares port 1")


def test_bytes_at_one_address_are_for_one_service() -> None:
    port = {"number": 81, "protocol": "TCP", "name": "tcp"}
    (words,) = said(sidecar({"port": port, "bind": "127.0.0.2", "hosts": ["shop/*"]}))
    assert words.startswith("SeveralServicesForBytes spec.egress[0].hosts: bytes do not say which service they are for")
    assert said(sidecar({"port": port, "bind": "127.0.0.2", "hosts": [f"shop/{REVIEWS}"]})) == []


def test_what_is_not_exported_to_the_namespace_is_not_selected() -> None:
    hidden = service_entry("db", ("TCP", 81), namespace="shop", exportTo=["."], addresses=["10.0.0.1"])
    listener = {"port": {"number": 81, "protocol": "TCP", "name": "tcp"}, "bind": "127.0.0.2"}
    assert said(hidden, sidecar({**listener, "hosts": [f"shop/{REVIEWS}", "shop/*.example.com"]})) == []
    at_home = sidecar({**listener, "hosts": [f"shop/{REVIEWS}", "shop/*.example.com"]}, namespace="shop")
    assert "SeveralServicesForBytes" in said(hidden, at_home)[0]
    assert said(hidden, sidecar("shop/db.example.com")) == [
        (
            "IST0101 spec.egress[0].hosts[0]: db.example.com is not exported to namespace default, so it cannot be called "
            "from there (see `exportTo` of ServiceEntry shop/db at test-8.yaml:2:1)"
        )
    ]
    proxy = {"host": "db.example.com", "port": {"number": 81}}
    (words,) = said(hidden, sidecar("./*", outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": proxy}))
    assert words.startswith("IST0101 spec.outboundTrafficPolicy.egressProxy.host: db.example.com is not exported")


def test_a_host_may_end_in_a_dot() -> None:
    assert said(service_entry("dot", hosts=["dot.example.com."]), sidecar("*/dot.example.com")) == []


def test_a_sidecar_of_the_root_namespace_is_for_all_namespaces() -> None:
    hidden = service_entry("db", namespace="shop", exportTo=["."])
    assert said(hidden, sidecar(f"./{REVIEWS}", "shop/db.example.com", namespace="istio-system")) == []


def test_an_egress_proxy_that_is_not_there() -> None:
    proxy = {"host": "gone.example.com", "port": {"number": 80}}
    (words,) = said(sidecar("./*", outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": proxy}))
    assert words.startswith("IST0101 spec.outboundTrafficPolicy.egressProxy.host: host not found")
