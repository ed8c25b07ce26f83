from __future__ import annotations

import textwrap

import pytest

from mizzen.resources.loading import Loaded, load
from mizzen.resources.workload import WorkloadSpec


def workload(spec: str) -> Loaded:
    head = "apiVersion: mizzen.dev/v1alpha1\nkind: Workload\nmetadata: {name: a}\nspec:\n"
    return load(head + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ") + "\n", "f")


def said(loaded: Loaded) -> list[str]:
    return [f"{problem.level}: {problem.path}: {problem.message}" for problem in loaded.problems]


RUN = "command: [a]\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("replicas: 1", ["error: spec.command: a command needs a program to run"]),
        ("gateway: {}\nreplicas: 2\nserviceAccount: edge\nterminationGracePeriodSeconds: 5", []),
        (
            "gateway: {address: here}\ncommand: [a]\nports: [{containerPort: 80}]",
            [
                "error: spec.gateway.address: 'here' is not a valid IP address",
                "error: spec.command: a gateway runs no application, so `command` has no meaning beside `gateway`",
                "error: spec.ports: a gateway runs no application, so `ports` has no meaning beside `gateway`",
            ],
        ),
        ("command: []", ["error: spec.command: a command needs a program to run"]),
        ("command: python3 app.py", ["error: spec.command: must be a list, not the text 'python3 app.py'"]),
        ("command: [a, 1]", ["error: spec.command[1]: must be text, not the number 1"]),
        ('command: [a, "\\0"]', ["error: spec.command[1]: an argument cannot contain a null character"]),
        (
            RUN + "env: [{name: a, value: b}, {name: a}, {name: '1a'}, {name: A=B}]",
            [
                "warning: spec.env[1].name: a is set twice; the last one is used",
                "error: spec.env[2].name: '1a' is not a valid name of an environment variable",
                "error: spec.env[3].name: 'A=B' is not a valid name of an environment variable",
            ],
        ),
        (
            RUN + "ports: [{containerPort: 80}]\nenv: [{name: PORT, value: '80'}]",
            ["error: spec.env[0].name: PORT is set by Mizzen: it carries the port that the application must listen on"],
        ),
        (
            RUN + "ports: [{containerPort: 0}, {containerPort: 80, name: HTTP}, {containerPort: 80, name: a}, "
            "{containerPort: 81, name: a}, {containerPort: 82, name: '12'}]",
            [
                "error: spec.ports[0].containerPort: port number 0 must be in the range 1..65535",
                "error: spec.ports[1].name: 'HTTP' is not a valid port name",
                "error: spec.ports[2].containerPort: duplicate port 80",
                "error: spec.ports[3].name: duplicate port name 'a'",
                "error: spec.ports[4].name: '12' is not a valid port name",
            ],
        ),
        (
            RUN + "replicas: -1\nterminationGracePeriodSeconds: -1\nserviceAccount: A_B",
            [
                "error: spec.replicas: replicas must be 0 or more",
                "error: spec.terminationGracePeriodSeconds: terminationGracePeriodSeconds must be 0 or more",
                "error: spec.serviceAccount: 'A_B' is not a valid name of a service account (DNS-1123 subdomain)",
            ],
        ),
        (RUN + "readinessProbe: {}", ["error: spec.readinessProbe: a probe must specify a handler type"]),
        (
            RUN + "readinessProbe: {tcpSocket: {port: 80}, exec: {command: []}}",
            [
                "error: spec.readinessProbe: a probe may not specify more than 1 handler type",
                "error: spec.readinessProbe.exec.command: a command needs a program to run",
            ],
        ),
        (
            RUN + "ports: [{containerPort: 80, name: web}]\nreadinessProbe: {httpGet: {port: wed, path: health}}",
            [
                "error: spec.readinessProbe.httpGet.port: no port of this workload is named 'wed'",
                "error: spec.readinessProbe.httpGet.path: path must begin with /",
            ],
        ),
        (
            RUN
            + "livenessProbe: {httpGet: {port: 80}, periodSeconds: 0, successThreshold: 2, initialDelaySeconds: -1}",
            [
                "error: spec.livenessProbe.periodSeconds: periodSeconds must be 1 or more",
                "error: spec.livenessProbe.successThreshold: a liveness probe's successThreshold must be 1",
                "error: spec.livenessProbe.initialDelaySeconds: initialDelaySeconds must be 0 or more",
            ],
        ),
        (
            RUN + "readinessProbe: {httpGet: {port: 80, httpHeaders: [{name: 'a b'}]}}",
            ["error: spec.readinessProbe.httpGet.httpHeaders[0]: header name 'a b' is not a valid header name"],
        ),
        (
            RUN + "serviceAccountName: x",
            ["error: spec.serviceAccountName: unknown field `serviceAccountName`"],
        ),
        (
            RUN + "containers: []",
            ["error: spec.containers: unknown field `containers`"],
        ),
        (
            RUN + "ports: [{containerPort: 53, protocol: UDP}]",
            [
                (
                    "error: spec.ports[0].protocol: the value `UDP` of `protocol` is part of Mizzen's API but not "
                    "implemented yet in this version of Mizzen"
                )
            ],
        ),
    ],
)
def test_rules_of_a_workload(spec: str, expected: list[str]) -> None:
    loaded = workload(spec)
    assert said(loaded) == expected


def test_kubernetes_name_for_the_account_leads_to_ours() -> None:
    (problem,) = workload(RUN + "serviceAccountName: x").problems
    assert problem.hint == "did you mean `serviceAccount`?"


def test_a_full_workload_is_read_with_kubernetes_defaults() -> None:
    loaded = workload("""
        command: [python3, app.py, --port, $(PORT)]
        workingDir: app
        env: [{name: MODE, value: "yes"}]
        ports: [{name: http, containerPort: 9080, appProtocol: http}]
        serviceAccount: bookinfo
        readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 9080}}
        """)
    assert said(loaded) == []
    spec = loaded.resources[0].spec
    assert isinstance(spec, WorkloadSpec)
    assert (spec.replicas, spec.termination_grace_period_seconds) == (1, 30)
    assert (spec.port_number("http"), spec.port_number(1), spec.port_number("x")) == (9080, 1, None)
    probe = spec.readiness_probe
    assert probe is not None
    assert (probe.period_seconds, probe.timeout_seconds, probe.success_threshold, probe.failure_threshold) == (
        1,
        1,
        1,
        3,
    )


@pytest.mark.trap(40)
def test_the_annotation_that_ranks_between_proxy_configs_is_refused_with_what_to_write_instead() -> None:
    text = (
        "apiVersion: mizzen.dev/v1alpha1\nkind: Workload\n"
        "metadata: {name: a, annotations: {proxy.istio.io/config: 'concurrency: 4'}}\nspec: {command: [a]}\n"
    )
    (one,) = load(text, "f").problems
    assert (one.level, one.path) == ("error", "metadata.annotations[proxy.istio.io/config]")
    assert "ProxyConfig" in one.hint
