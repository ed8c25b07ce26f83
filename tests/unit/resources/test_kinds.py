from __future__ import annotations

import pytest

from mizzen.resources.kinds import IMPLEMENTED, KINDS, find_kind, kind_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vs", "VirtualService"),
        ("virtualservices", "VirtualService"),
        ("virtualservice", "VirtualService"),
        ("VirtualService", "VirtualService"),
        ("VS", "VirtualService"),
        ("dr", "DestinationRule"),
        ("svc", "Service"),
        ("wl", "Workload"),
        ("gw", "Gateway"),
        ("se", "ServiceEntry"),
    ],
)
def test_kinds_are_found_by_all_their_names(name: str, expected: str) -> None:
    kind = find_kind(name)
    assert kind is not None
    assert kind.kind == expected


def test_an_unknown_name_is_no_kind() -> None:
    assert find_kind("virtualservicess") is None


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_all_versions_of_a_kind_are_one(version: str) -> None:
    kind = kind_of(f"networking.istio.io/{version}", "VirtualService")
    assert kind is find_kind("vs")


def test_a_kind_is_found_only_in_its_group() -> None:
    assert kind_of("v1", "VirtualService") is None
    assert kind_of("v1", "Service") is find_kind("svc")


def test_names_of_implemented_kinds_are_unique() -> None:
    names = [name for kind in IMPLEMENTED for name in kind.names]
    assert len(names) == len(set(names))


def test_gateway_is_istios_unless_the_group_says_otherwise() -> None:
    gateway = find_kind("gateway")
    assert gateway is not None
    assert gateway.group == "networking.istio.io"
    other = kind_of("gateway.networking.k8s.io/v1", "Gateway")
    assert other is not None
    assert other.api == "the Gateway API"


def test_every_implemented_kind_has_a_model() -> None:
    assert {kind.kind for kind in KINDS if kind.implemented} == {
        "Workload",
        "Service",
        "Secret",
        "VirtualService",
        "DestinationRule",
        "MeshConfig",
        "RateLimit",
        "Gateway",
        "ServiceEntry",
        "Sidecar",
        "EnvoyFilter",
        "WorkloadEntry",
        "ProxyConfig",
    }
