from __future__ import annotations

import textwrap

import pytest

from mizzen.resources.loading import Loaded, load


def service(spec: str) -> Loaded:
    head = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n"
    return load(head + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n", "f")


def said(loaded: Loaded) -> list[str]:
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in loaded.problems]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("selector: {app: a}", ["error: spec.ports: a service needs at least one port"]),
        ("ports: [{port: 0}]", ["error: spec.ports[0].port: port number 0 must be in the range 1..65535"]),
        ("ports: [{name: http}]", ["error: spec.ports[0].port: `port` is required"]),
        (
            "ports: [{port: 80}, {port: 80, name: a}, {port: 81, name: a}]",
            [
                "error: spec.ports[0]: each port of a service with several ports needs a `name`",
                "error: spec.ports[1].port: duplicate port 80",
                "error: spec.ports[2].name: duplicate port name 'a'",
            ],
        ),
        (
            "ports: [{port: 80, name: HTTP, targetPort: '8080', appProtocol: 'a b'}]",
            [
                "error: spec.ports[0].name: 'HTTP' is not a valid port name (DNS-1123 label)",
                "error: spec.ports[0].targetPort: '8080' is not a port number or a valid port name",
                "error: spec.ports[0].appProtocol: 'a b' is not a valid key",
            ],
        ),
        (
            "ports: [{port: 80, targetPort: 70000}]",
            ["error: spec.ports[0].targetPort: port number 70000 must be in the range 1..65535"],
        ),
        (
            "ports: [{port: 80, targetPort: a-name-that-is-too-long}]",
            ["error: spec.ports[0].targetPort: 'a-name-that-is-too-long' is not a port number or a valid port name"],
        ),
        (
            "ports: [{port: 80}]\nselector: {'a b': c, d: 'e f'}",
            [
                "error: spec.selector[a b]: 'a b' is not a valid key",
                "error: spec.selector.d: 'e f' is not a valid label value",
            ],
        ),
        ("ports: [{port: 80, targetPort: web, appProtocol: kubernetes.io/h2c}]\nselector: {app: a}", []),
    ],
)
def test_rules_of_a_service(spec: str, expected: list[str]) -> None:
    assert said(service(spec)) == expected


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("type: NodePort", "spec.type"),
        ("type: LoadBalancer", "spec.type"),
        ("type: ExternalName", "spec.type"),
        ("externalName: a.com", "spec.externalName"),
        ("clusterIP: None", "spec.clusterIP"),
        ("clusterIP: 10.0.0.1", "spec.clusterIP"),
        ("sessionAffinity: ClientIP", "spec.sessionAffinity"),
        ("publishNotReadyAddresses: true", "spec.publishNotReadyAddresses"),
        ("internalTrafficPolicy: Local", "spec.internalTrafficPolicy"),
        ("ipFamilies: [IPv4, IPv6]", "spec.ipFamilies[1]"),
        ("trafficDistribution: PreferClose", "spec.trafficDistribution"),
    ],
)
def test_what_is_not_implemented_is_an_error(field: str, path: str) -> None:
    loaded = service("ports: [{port: 80}]\n" + field)
    assert loaded.resources == ()
    assert [(problem.code, problem.path) for problem in loaded.problems] == [("NotImplemented", path)]
    assert "part of Kubernetes' API" in loaded.problems[0].message


def test_udp_is_not_implemented() -> None:
    loaded = service("ports: [{port: 53, protocol: UDP}]")
    assert [problem.path for problem in loaded.problems] == ["spec.ports[0].protocol"]


@pytest.mark.trap(16)
def test_what_would_make_places_count_without_outlier_detection_is_refused() -> None:
    """In Istio a Service's ``trafficDistribution`` does."""
    (one,) = service("ports: [{port: 80, name: http}]\nselector: {app: a}\ntrafficDistribution: PreferClose").problems
    assert (one.code, one.level, one.path) == ("NotImplemented", "error", "spec.trafficDistribution")
