"""What is easily got wrong in an implementation of Istio's API: numbered, and each with the tests that bear its mark.

``@pytest.mark.trap(7)`` says that a test fails where trap 7 is fallen into; ``tests/unit/test_traps.py`` that none is forgotten. Where
Mizzen departs from Istio on purpose the words say so, and the test is of what Mizzen does.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent

TRAFFIC = {
    1: "only names without a dot are short",
    2: "wildcards match both ways, and their suffix needs no boundary of labels",
    3: "the oldest wins, and of one age the name decides",
    4: "VirtualServices for one host are merged at gateways, what takes all last, and not at sidecars",
    5: "a host that no service has is served on port 80 alone",
    6: "no routes come after the first one that takes every request",
    7: "a match that names gateways asks nothing of the source",
    8: "each match of a delegate is joined with each of the root's that fits; of headers one side counts as a whole",
    9: "a DestinationRule of the client's, the service's or the root namespace counts alone; in the root namespace otherwise",
    10: "the settings of a port replace the policy, those of a subset whole blocks of it",
    11: "a DestinationRule with a selector is private, and for what goes out",
    12: "a server obeys the connection pool of its own DestinationRule",
    13: "a secret that a sidecar does not have is no reason for plaintext (in Istio it is)",
    14: "503 is not retried by default, retries need attempts, and none of them are no policy",
    15: "every route says its timeout, for Envoy has one of its own",
    16: "failover between places needs outlier detection",
    17: "the panic threshold is 0",
    18: "minHealthPercent, maxEjectionPercent and maxConnections of zero are the default",
    19: "a fault without a percentage hits nothing, a mirror without one copies all",
    20: "an outboundTrafficPolicy without a mode is REGISTRY_ONLY",
    21: "what is unknown is answered with 502, or its connection closed, where only known services may be called",
    22: "callers say by ALPN that they are of the mesh (here a server takes nothing else, whatever it says)",
    31: "appProtocol beats the port's name, some ports are TCP, and a server that speaks first waits for its client",
    32: "the application is reached at 127.0.0.1 (in Istio at the pod's address)",
    33: "requests of one port share a listener, bytes have one for each address, and both together are told apart",
    34: "a virtual host has the names by which the caller's namespace knows the service, without a port",
    35: "a Gateway's port is one of the Service before it; of two servers for one TLS host the later has no place",
    40: "ProxyConfigs rank root, namespace, workload (the annotation between the last two is refused)",
    41: "a MeshConfig replaces and is not merged, but for fields that are refused here",
    42: "EnvoyFilters come by priority before namespace, and a LISTENER without a context is added outbound",
    43: "who asks for endpoints or routes that are not there is answered with empty ones",
}
"""The traps of what carries traffic, by number."""

NUMBERS = range(1, 46)
"""All traps; those that are not above concern policy of access and telemetry."""


def marked() -> dict[int, list[str]]:
    """Returns the tests that bear each number, as ``file:line`` under the folder of tests."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for function in _tests(ast.parse(path.read_text())):
            for number in _numbers(function):
                found[number].append(f"{path.relative_to(TESTS)}:{function.lineno} {function.name}")
    return dict(found)


def _tests(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _numbers(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.trap":
            yield from (ast.literal_eval(argument) for argument in decorator.args)
