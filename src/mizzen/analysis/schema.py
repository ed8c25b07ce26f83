"""What is wrong with each resource by itself: the loader's word, in the codes of an analysis.

For kinds with a model that is the loader, for others the tables and rules of this package (``forms``,
``policy_rules``). For Istio's kinds an error is IST0106 and a warning IST0133, as for istioctl. A field of Istio's API that
Mizzen does not implement yet is no mistake of who wrote it: that is said once for each resource (MZN0001), and once for each
kind that Mizzen reads but does not act on (MZN0002).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from mizzen.analysis import policy_rules
from mizzen.analysis.forms import FORMS
from mizzen.analysis.items import GATEWAY_API, Item
from mizzen.analysis.messages import MESSAGE_TYPES, Message, message
from mizzen.analysis.shapes import deviations
from mizzen.analysis.values import Values
from mizzen.analysis.world import World
from mizzen.resources.findings import Finding
from mizzen.resources.kinds import KINDS, MIZZEN, Kind
from mizzen.resources.problems import Level, Problem
from mizzen.resources.validation.unsafe_retries import CODE as UNSAFE_RETRY

NOT_IMPLEMENTED = "NotImplemented"
# The analyzer of deprecations says it, as with Istio.
_DEPRECATED_DELAY = ".fault.delay.percent"

# What analyzers of their own tell of.
_ELSEWHERE = frozenset({NOT_IMPLEMENTED, UNSAFE_RETRY, "IST0128", "IST0129"})


def validation(kind: Kind) -> Callable[[World], Iterator[Message]]:
    """Returns the analyzer of one kind's schema."""

    def check(world: World) -> Iterator[Message]:
        for item in world.of(kind.kind, kind.group):
            for problem in item.problems:
                if problem.code not in _ELSEWHERE and not problem.path.endswith(_DEPRECATED_DELAY):
                    yield _message(item, problem)

    return check


def plain_validation(kind: Kind) -> Callable[[World], Iterator[Message]]:
    """Returns the analyzer of the schema of a kind without a model; that it has a form is required."""
    rules = _RULES.get(kind.kind)

    def check(world: World) -> Iterator[Message]:
        for item in world.of(kind.kind, kind.group):
            spec = item.value.get("spec")
            found = list(deviations({} if spec is None else spec, FORMS[kind.kind], "spec"))
            for finding in [*found, *(rules(item.spec) if rules else ())]:
                # What has the wrong form has been told of already.
                if finding in found or not any(finding.path.startswith(one.path) for one in found):
                    yield _message(item, finding)

    return check


_RULES: Mapping[str, Callable[[Values], Iterator[Finding]]] = {
    "AuthorizationPolicy": policy_rules.authorization_policy,
    "PeerAuthentication": policy_rules.peer_authentication,
    "RequestAuthentication": policy_rules.request_authentication,
    "Telemetry": policy_rules.telemetry,
}


def _message(item: Item, problem: Problem | Finding) -> Message:
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    if problem.hint:
        text += f" ({problem.hint})"
    return message(_code(item, problem), item, problem.path, text)


def _code(item: Item, problem: Problem | Finding) -> str:
    if problem.code in MESSAGE_TYPES:
        return problem.code
    if not item.group.endswith("istio.io"):
        # Kubernetes takes Services that Mizzen has no use for, such as those without ports.
        return "MZN0003" if item.group == MIZZEN else "MZN0007"
    return "IST0106" if problem.level is Level.ERROR else "IST0133"


def unimplemented_fields(world: World) -> Iterator[Message]:
    """Yields one message for each resource with fields that Mizzen does not implement yet."""
    for item in world.items:
        found = [problem for problem in item.problems if problem.code == NOT_IMPLEMENTED]
        if found:
            fields = ", ".join(dict.fromkeys(problem.path for problem in found))
            text = f"Mizzen does not implement yet, and would refuse: {fields}; Istio is not concerned"
            yield message("MZN0001", item, found[0].path, text)


def unimplemented_kinds(world: World) -> Iterator[Message]:
    """Yields one message for each kind of Istio's or the Gateway API's that Mizzen does not act on."""
    missing = {(kind.group, kind.kind) for kind in KINDS if not kind.implemented}
    found: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in world.items:
        if (item.group, item.kind) in missing:
            found[item.group, item.kind].append(item)
    for (group, kind), items in found.items():
        name = f"the Gateway API's {kind}" if group == GATEWAY_API else kind
        count = f"{len(items)} resources, of which this is the first" if len(items) > 1 else "1 resource"
        text = f"Mizzen does not act on the kind {name} yet ({count}); Istio is not concerned"
        yield message("MZN0002", items[0], "kind", text)


def duplicates(world: World) -> Iterator[Message]:
    """Yields a message for a resource that stands in the files more than once, at each place but the last."""
    for item, counting in world.replaced:
        where = counting.position("metadata.name")
        if item.file and where:
            text = f"it is written again at {where.file}:{where.line}, and only the last one is analyzed"
            yield message("MZN0005", item, "metadata.name", text)
