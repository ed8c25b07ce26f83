"""Checks that who delegates finds a delegate, and that its routes fit. Pure; a part of :mod:`mizzen.resources.references`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mizzen.resources.delegates import delegations, merged
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.resource import Resource
from mizzen.resources.suggesting import nearest
from mizzen.resources.virtual_service import HTTPRoute, VirtualServiceSpec
from mizzen.resources.visibility import visibility

NO_DELEGATE = "NoDelegate"
USELESS = "IST0130"

_Rule = Resource[VirtualServiceSpec]


def check_delegates(rules: Iterable[_Rule]) -> Iterator[Problem]:
    """Yields what is wrong between VirtualServices that delegate and their delegates."""
    known = {(rule.namespace, rule.name): rule for rule in rules}
    used: set[tuple[str, str]] = set()
    for rule in known.values():
        for index, route in delegations(rule.spec.http):
            if route.delegate:
                used.add((route.delegate.namespace or rule.namespace, route.delegate.name))
            yield from _delegation(rule, join("spec.http", index), route, known)
    for key, rule in known.items():
        if not rule.spec.hosts and key not in used:
            message = "no VirtualService delegates to this one, so it has no effect"
            hint = "name it in `delegate` of a route of another one, or write `hosts`"
            yield rule.problem(NO_DELEGATE, "spec", message, hint, Level.WARNING)


def _delegation(rule: _Rule, path: str, route: HTTPRoute, known: Mapping[tuple[str, str], _Rule]) -> Iterator[Problem]:
    assert route.delegate is not None
    name, namespace = route.delegate.name, route.delegate.namespace or rule.namespace
    found = known.get((namespace, name))
    where = f"{path}.delegate"
    if found is None:
        near = nearest(name, [one for space, one in known if space == namespace])
        hint = f"did you mean `{near}`?" if near else "apply it together with this or before it"
        yield rule.problem(NOT_FOUND, where, f"there is no VirtualService {namespace}/{name} to delegate to", hint)
    elif found.spec.hosts:
        message = f"{found.key} has hosts, so it is no delegate (written at {found.source.position('spec.hosts')})"
        yield rule.problem(NO_DELEGATE, where, message, "a delegate has no `hosts`")
    elif visibility(found.spec.export_to, found.namespace, rule.namespace) is None:
        message = f"{found.key} is not exported to namespace {rule.namespace}"
        yield rule.problem(NO_DELEGATE, where, message, f"see {found.source.position('spec.exportTo')}")
    else:
        yield from _routes_that_do_not_fit(rule, path, route, found)


def _routes_that_do_not_fit(rule: _Rule, path: str, route: HTTPRoute, found: _Rule) -> Iterator[Problem]:
    for index, own in enumerate(found.spec.http):
        if merged(route, own) is None:
            message = (
                f"this route is never used: its match does not fit that of {rule.key} at {rule.source.position(path)}"
            )
            hint = "each match of a delegate must be within one of those that lead to it"
            problem = found.problem(USELESS, join("spec.http", index), message, hint, Level.WARNING)
            yield replace(problem, in_vain=True)
