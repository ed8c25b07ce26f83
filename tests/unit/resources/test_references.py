from __future__ import annotations

import textwrap
from typing import Any

import pytest

from mizzen.resources.loading import load
from mizzen.resources.references import check_references
from mizzen.resources.resource import Resource

WORKLOAD = """
    apiVersion: mizzen.dev/v1alpha1
    kind: Workload
    metadata: {name: reviews-v1, labels: {app: reviews, version: v1}}
    spec: {command: [a], ports: [{containerPort: 9080, name: http}]}
    """
SERVICE = """
    apiVersion: v1
    kind: Service
    metadata: {name: reviews}
    spec:
      selector: {app: reviews}
      ports: [{port: 9080, name: http}]
    """
RULE = """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: reviews}
    spec:
      host: reviews
      subsets: [{name: v1, labels: {version: v1}}]
    """
HASHED = "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}"
ROUTE = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: reviews}
    spec:
      hosts: [reviews]
      http:
      - route:
        - destination: {host: reviews, subset: v1}
    """
DELEGATING = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: root}
    spec:
      hosts: [reviews]
      http:
      - match: [{uri: {prefix: /parts}}]
        delegate: {name: parts}
    """
DELEGATE = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: parts}
    spec:
      http:
      - match: [{uri: {prefix: /parts/a}}]
        route: [{destination: {host: reviews, subset: v1}}]
    """


def resources(*texts: str) -> list[Resource[Any]]:
    found: list[Resource[Any]] = []
    for index, text in enumerate(texts):
        loaded = load(textwrap.dedent(text).lstrip("\n"), f"{index}.yaml")
        assert loaded.problems == ()
        found += loaded.resources
    return found


def said(*texts: str) -> list[str]:
    return [str(problem) for problem in check_references(resources(*texts))]


def test_a_delegate_that_fits_has_no_problem() -> None:
    assert said(WORKLOAD, SERVICE, RULE, DELEGATING, DELEGATE) == []


def test_what_fits_together_has_no_problem() -> None:
    assert said(WORKLOAD, SERVICE, RULE, ROUTE) == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(
            (WORKLOAD, SERVICE, RULE, ROUTE.replace("subset: v1", "subset: v11")),
            "3.yaml:8:44: error: VirtualService default/reviews: spec.http[0].route[0].destination.subset: subset 'v11' "
            "of reviews.default.svc.cluster.local is not defined in DestinationRule default/reviews at 2.yaml:6:3 "
            "(did you mean `v1`? its subsets are v1) [IST0101]",
            id="unknown subset",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, ROUTE),
            "2.yaml:8:44: error: VirtualService default/reviews: spec.http[0].route[0].destination.subset: subset 'v1' "
            "of reviews.default.svc.cluster.local is not defined: there is no DestinationRule for that host (apply a "
            "DestinationRule with the subset `v1`, together with this or before it) [IST0101]",
            id="no rule",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, ROUTE.replace("{host: reviews, subset: v1}", "{host: review}")),
            "2.yaml:8:27: warning: VirtualService default/reviews: spec.http[0].route[0].destination.host: host not "
            "found: no Service is review.default.svc.cluster.local (did you mean `reviews`?) [IST0101]",
            id="unknown host",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, ROUTE.replace("{host: reviews, subset: v1}", "{host: reviews.default}")),
            "2.yaml:8:27: warning: VirtualService default/reviews: spec.http[0].route[0].destination.host: host not "
            "found: no Service is reviews.default (did you mean `reviews`?) [IST0101]",
            id="a name with a dot is not short",
        ),
        pytest.param(
            (
                WORKLOAD,
                SERVICE,
                ROUTE.replace("{name: reviews}", "{name: reviews, namespace: other}").replace(", subset: v1", ""),
            ),
            "2.yaml:8:27: warning: VirtualService other/reviews: spec.http[0].route[0].destination.host: host not "
            "found: no Service is reviews.other.svc.cluster.local (`reviews` is in namespace default: write "
            "`reviews.default.svc.cluster.local`) [IST0101]",
            id="host of another namespace",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, ROUTE.replace("subset: v1", "subset: v1, port: {number: 80}")),
            "3.yaml:8:63: error: VirtualService default/reviews: spec.http[0].route[0].destination.port.number: Service "
            "default/reviews has no port 80; it has 9080 (1.yaml:6:3) (use one of its ports) [IST0101]",
            id="unknown port",
        ),
        pytest.param(
            (
                WORKLOAD.replace("name: http}", "name: http}, {containerPort: 9090}"),
                SERVICE.replace("name: http}", "name: http}, {port: 9090, name: tcp-x}"),
                RULE,
                ROUTE,
            ),
            "3.yaml:8:7: warning: VirtualService default/reviews: spec.http[0].route[0].destination: Service "
            "default/reviews has several ports (9080, 9090, 1.yaml:6:3) and the route names none (add `port: {number: "
            "...}`; without it the port that was called is used) [IST0112]",
            id="several ports",
        ),
        pytest.param(
            (WORKLOAD, SERVICE.replace("name: http", "name: tcp"), RULE, ROUTE),
            "3.yaml:5:11: error: VirtualService default/reviews: spec.hosts[0]: Service default/reviews has no port for "
            "HTTP, so `http` routes have no effect on it: 9080 (TCP) (name the port `http` or `grpc`, or set "
            "`appProtocol`, in 1.yaml:6:3) [HTTPRouteForTCPPort]",
            id="http routes for bytes",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, ROUTE, DELEGATE.replace("{name: parts", "{name: part")),
            "4.yaml:4:1: warning: VirtualService default/part: spec: no VirtualService delegates to this one, so it has no "
            "effect (name it in `delegate` of a route of another one, or write `hosts`) [NoDelegate]",
            id="unused delegate",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, DELEGATING),
            "3.yaml:8:5: error: VirtualService default/root: spec.http[0].delegate: there is no VirtualService "
            "default/parts to delegate to (apply it together with this or before it) [IST0101]",
            id="missing delegate",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, DELEGATING, DELEGATE.replace("spec:", "spec:\n      hosts: [other]")),
            "3.yaml:8:5: error: VirtualService default/root: spec.http[0].delegate: VirtualService default/parts has hosts, "
            "so it is no delegate (written at 4.yaml:5:3) (a delegate has no `hosts`) [NoDelegate]",
            id="delegate with hosts",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, DELEGATING, DELEGATE.replace("spec:", "spec:\n      exportTo: [elsewhere]")),
            "3.yaml:8:5: error: VirtualService default/root: spec.http[0].delegate: VirtualService default/parts is not "
            "exported to namespace default (see 4.yaml:5:3) [NoDelegate]",
            id="hidden delegate",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, DELEGATING, DELEGATE.replace("/parts/a", "/a")),
            "4.yaml:6:5: warning: VirtualService default/parts: spec.http[0]: this route is never used: its match does not "
            "fit that of VirtualService default/root at 3.yaml:7:5 (each match of a delegate must be within one of those "
            "that lead to it) [IST0130]",
            id="delegate that does not fit",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, ROUTE.replace("http:", "tcp:")),
            "3.yaml:5:11: error: VirtualService default/reviews: spec.hosts[0]: Service default/reviews has no port for "
            "TCP, so `tcp` routes have no effect on it: 9080 (HTTP) (name the port `tcp`, or set `appProtocol`, in "
            "1.yaml:6:3) [TCPRouteForOtherPort]",
            id="tcp routes for requests",
        ),
        pytest.param(
            (
                WORKLOAD,
                SERVICE.replace("name: http", "name: tcp"),
                RULE,
                ROUTE.replace("http:", "tcp:").replace("subset: v1", "subset: v9"),
            ),
            "3.yaml:8:44: error: VirtualService default/reviews: spec.tcp[0].route[0].destination.subset: subset 'v9' of "
            "reviews.default.svc.cluster.local is not defined in DestinationRule default/reviews at 2.yaml:6:3 (its "
            "subsets are v1) [IST0101]",
            id="unknown subset of a tcp route",
        ),
        pytest.param(
            (WORKLOAD, SERVICE.replace("name: http", "name: tcp"), RULE + HASHED),
            "2.yaml:7:34: warning: DestinationRule default/reviews: spec.trafficPolicy.loadBalancer.consistentHash: Service "
            "default/reviews has no port for HTTP here, so there is nothing to hash: connections go to any endpoint (write "
            "`useSourceIp: true`, or name the port after its protocol) [HashedBytes]",
            id="a header of bytes",
        ),
        pytest.param(
            (
                WORKLOAD,
                SERVICE,
                RULE + HASHED.replace("{loadB", "{portLevelSettings: [{port: {number: 9090}, loadB") + "]}",
            ),
            "2.yaml:7:77: warning: DestinationRule default/reviews: spec.trafficPolicy.portLevelSettings[0].loadBalancer."
            "consistentHash: Service default/reviews has no port for HTTP here, so there is nothing to hash: connections go "
            "to any endpoint (write `useSourceIp: true`, or name the port after its protocol) [HashedBytes]",
            id="a header of bytes of a port",
        ),
        pytest.param(
            (WORKLOAD, SERVICE.replace(", name: http", "")),
            "1.yaml:6:11: warning: Service default/reviews: spec.ports[0]: port 9080 declares no protocol: proxies "
            "guess it from the first bytes of each connection, and where the server speaks first, clients wait 1 s for it "
            "(name it after its protocol (`http`, `grpc`, `tcp`, ...), or set `appProtocol`) [IST0118]",
            id="undeclared protocol",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE, ROUTE, ROUTE.replace("{name: reviews}", "{name: second}")),
            "4.yaml:5:11: error: VirtualService default/second: spec.hosts[0]: reviews.default.svc.cluster.local is "
            "claimed by two VirtualServices: VirtualService default/reviews at 3.yaml:5:11 has it too (put the routes "
            "into one VirtualService, or delete one of them) [IST0109]",
            id="two virtual services",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE.replace("version: v1", "version: v2")),
            "2.yaml:6:13: warning: DestinationRule default/reviews: spec.subsets[0]: subset 'v1' selects no workload of "
            "Service default/reviews (labels version: v2) (requests to it will fail until a workload has these "
            "labels) [IST0173]",
            id="subset of nothing",
        ),
        pytest.param(
            (WORKLOAD, SERVICE, RULE.replace("host: reviews", "host: ratings")),
            "2.yaml:5:9: warning: DestinationRule default/reviews: spec.host: host not found: no Service is "
            "ratings.default.svc.cluster.local [IST0174]",
            id="rule for nothing",
        ),
        pytest.param(
            (SERVICE,),
            "0.yaml:5:3: warning: Service default/reviews: spec.selector: the selector matches no Workload in namespace "
            "default (compare it with the labels in the metadata of the workloads) [NoWorkload]",
            id="service of nothing",
        ),
        pytest.param(
            (SERVICE.replace("selector: {app: reviews}", "type: ClusterIP"),),
            "0.yaml:4:1: warning: Service default/reviews: spec: the service has no selector, so no workload is behind "
            "it (write `selector` with the labels of its workloads) [NoWorkload]",
            id="no selector",
        ),
        pytest.param(
            (WORKLOAD, SERVICE.replace("name: http}", "name: http, targetPort: web}")),
            "1.yaml:6:48: error: Service default/reviews: spec.ports[0].targetPort: Workload default/reviews-v1 at "
            "0.yaml:4:22 has no port 'web', which the service sends requests to (its ports are http) [NoTargetPort]",
            id="unknown target port",
        ),
        pytest.param(
            (WORKLOAD.replace(", ports: [{containerPort: 9080, name: http}]", ""), SERVICE),
            "1.yaml:6:11: error: Service default/reviews: spec.ports[0]: Workload default/reviews-v1 at 0.yaml:4:1 has "
            "no port 9080, which the service sends requests to (add `ports: [{containerPort: 9080}]` to the workload) "
            "[NoTargetPort]",
            id="no ports",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_both_places(texts: tuple[str, ...], expected: str) -> None:
    assert said(*texts) == [expected]


def test_the_case_of_a_host_says_nothing() -> None:
    upper = [text.replace("host: reviews", "host: Reviews.Default.svc.cluster.local") for text in (RULE, ROUTE)]
    assert said(WORKLOAD, SERVICE, *upper) == said(WORKLOAD, SERVICE, RULE, upper[1]) == []
    other = ROUTE.replace("name: reviews", "name: other").replace("hosts: [reviews]", "hosts: [REVIEWS]")
    (words,) = said(WORKLOAD, SERVICE, RULE, ROUTE, other)
    assert "reviews.default.svc.cluster.local is claimed by two VirtualServices" in words


def test_subsets_of_a_wildcard_rule_and_of_rules_elsewhere_count() -> None:
    wildcard = RULE.replace("host: reviews", "host: '*.default.svc.cluster.local'")
    assert said(WORKLOAD, SERVICE, wildcard, ROUTE) == []
    elsewhere = RULE.replace("{name: reviews}", "{name: reviews, namespace: other}").replace(
        "host: reviews", "host: reviews.default.svc.cluster.local"
    )
    assert said(WORKLOAD, SERVICE, elsewhere, ROUTE) == []


def test_a_rule_that_the_client_does_not_see_does_not_count() -> None:
    hidden = RULE.replace("{name: reviews}", "{name: reviews, namespace: other}").replace(
        "host: reviews", "host: reviews.default.svc.cluster.local\n      exportTo: ['.']"
    )
    (problem,) = check_references(resources(WORKLOAD, SERVICE, hidden, ROUTE))
    assert "there is no DestinationRule" in problem.message


def test_virtual_services_that_no_namespace_sees_both_of_do_not_conflict() -> None:
    full = ROUTE.replace(
        "hosts: [reviews]", "hosts: [reviews.default.svc.cluster.local]\n      exportTo: ['.']"
    ).replace("host: reviews,", "host: reviews.default.svc.cluster.local,")
    other = full.replace("{name: reviews}", "{name: reviews, namespace: other}")
    assert said(WORKLOAD, SERVICE, RULE, full, other) == []
    assert len(said(WORKLOAD, SERVICE, RULE, full, other.replace("['.']", "[default]"))) == 1


def test_a_wildcard_and_a_host_that_it_covers_do_not_conflict() -> None:
    wide = ROUTE.replace("{name: reviews}", "{name: wide}").replace("[reviews]", "['*.default.svc.cluster.local']")
    assert said(WORKLOAD, SERVICE, RULE, ROUTE, wide) == []


def test_problems_are_in_the_order_of_their_places() -> None:
    problems = check_references(resources(ROUTE, SERVICE, RULE.replace("reviews", "x")))
    places = [problem.position for problem in problems if problem.position is not None]
    assert len(places) == len(problems) == 3
    assert places == sorted(places)
