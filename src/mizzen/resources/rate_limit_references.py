"""Checks RateLimits against workloads, services, VirtualServices and each other. Pure; a part of
:mod:`mizzen.resources.references`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mizzen.resources.delegates import with_delegates
from mizzen.resources.hosts import resolve
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.protocols import Protocol, protocol_of
from mizzen.resources.rate_limit import GlobalLimits, RateLimitSpec
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.suggesting import nearest
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec

RateLimit = Resource[RateLimitSpec]


def selected(rule: RateLimit, workloads: Iterable[Resource[WorkloadSpec]]) -> list[Resource[WorkloadSpec]]:
    """Returns the workloads whose proxies a RateLimit is for."""
    return [
        one for one in workloads if one.namespace == rule.namespace and rule.spec.labels.items() <= one.labels.items()
    ]


def check_rate_limits(
    resources: Iterable[Resource[Any]],
    workloads: Sequence[Resource[WorkloadSpec]],
    routes: Sequence[Resource[VirtualServiceSpec]],
    service_of: Callable[[str, str], Resource[ServiceSpec] | None],
) -> Iterator[Problem]:
    """Yields what is wrong with the RateLimits among ``resources``."""
    rules = sorted((one for one in resources if isinstance(one.spec, RateLimitSpec)), key=lambda one: one.age)
    # As proxies have them: a delegate's route has the name of the root's before its own, and is the root's.
    by_name = {f"{one.namespace}/{one.name}": one for one in with_delegates(routes)} if rules else {}
    delegates = frozenset(f"{one.namespace}/{one.name}" for one in routes if not one.spec.hosts)
    owners: dict[Any, RateLimit] = {}
    for rule in rules:
        meant = selected(rule, workloads)
        yield from _unfit(rule, meant)
        yield from _several(rule, meant, owners)
        yield from _routes(rule, meant, by_name, delegates)
        if rule.spec.shared:
            yield from _server(rule, rule.spec.shared, service_of)


def _unfit(rule: RateLimit, meant: Sequence[Resource[WorkloadSpec]]) -> Iterator[Problem]:
    if not meant:
        labels = ", ".join(f"{key}: {value}" for key, value in rule.spec.labels.items())
        chosen = f"selects no Workload ({labels})" if labels else "is for no Workload: there is none"
        message = f"the rate limit {chosen} in namespace {rule.namespace}"
        hint = "compare it with the labels in the metadata of the workloads; containers are not known here"
        yield rule.problem("NoWorkload", "spec.selector", message, hint, Level.WARNING)
    for one in meant if rule.spec.selector else ():
        spoken = [protocol_of(port.container_port, port.name, port.app_protocol) for port in one.spec.ports]
        where = f"{one.key} at {one.source.position('spec')}"
        requests = rule.spec.limits or rule.spec.shared
        if requests and not one.spec.gateway and not any(protocol.may_be_http for protocol in spoken):
            message = f"no request to {where} is read: it has no port for HTTP"
            hint = "name its port `http`, or write `connections`"
            yield rule.problem("NothingToLimit", "spec.selector", message, hint, Level.WARNING)
        if rule.spec.connections and not one.spec.gateway and all(protocol.is_http for protocol in spoken):
            message = (
                f"no connection to {where} is counted: its ports are for HTTP, and callers' proxies share connections"
            )
            yield rule.problem("NothingToLimit", "spec.connections", message, "write `limits`", Level.WARNING)


def _several(
    rule: RateLimit, meant: Iterable[Resource[WorkloadSpec]], owners: dict[Any, RateLimit]
) -> Iterator[Problem]:
    others: dict[Any, tuple[RateLimit, Resource[WorkloadSpec]]] = {}
    for one in meant:
        owner = owners.setdefault(one.key, rule)
        if owner is not rule:
            others.setdefault(owner.key, (owner, one))
    for owner, one in others.values():
        message = f"{one.key} has a rate limit already: {owner.key} at {owner.source.position('spec')} selects it too"
        yield rule.problem("SeveralRateLimits", "spec.selector", message, "put all its limits into one of them")


def _routes(
    rule: RateLimit,
    meant: Iterable[Resource[WorkloadSpec]],
    routes: Mapping[str, Resource[VirtualServiceSpec]],
    delegates: Collection[str],
) -> Iterator[Problem]:
    for index, limit in enumerate(rule.spec.limits):
        if not (limit.match and limit.match.route):
            continue
        path = f"{join('spec.limits', index)}.match.route"
        yield from _route(rule, path, limit.match.full_route(rule.namespace), routes, delegates)
        for one in (one for one in meant if not one.spec.gateway):
            message = (
                f"{one.key} at {one.source.position('spec')} is no gateway: where requests come in there are no routes"
            )
            yield rule.problem("NoRoutesHere", path, message, "write the route's `uri` and `headers` in the match")


def _route(
    rule: RateLimit,
    path: str,
    full: str,
    routes: Mapping[str, Resource[VirtualServiceSpec]],
    delegates: Collection[str],
) -> Iterator[Problem]:
    named, _, wanted = full.rpartition("/")
    found = routes.get(named)
    if found is None and named in delegates:
        message = f"VirtualService {named} is a delegate: its routes are those of who delegates to it"
        hint = "write `root/route-delegated`: who delegates, and the names of both routes"
        yield rule.problem(NOT_FOUND, path, message, hint)
        return
    if found is None:
        near = nearest(named, routes)
        hint = f"did you mean `{near}/{wanted}`?" if near else ""
        yield rule.problem(NOT_FOUND, path, f"there is no VirtualService {named}", hint)
        return
    known = [http.name for http in found.spec.http if http.name]
    if wanted not in known:
        message = f"{found.key} at {found.source.position('spec.http')} has no route with the name {wanted!r}"
        near = nearest(wanted, known)
        hint = f"did you mean `{near}`?" if near else f"its routes are {', '.join(known)}" if known else "give it one"
        yield rule.problem(NOT_FOUND, path, message, hint)


def _server(
    rule: RateLimit, shared: GlobalLimits, service_of: Callable[[str, str], Resource[ServiceSpec] | None]
) -> Iterator[Problem]:
    if shared.server is None:
        return
    host = resolve(shared.server.host, rule.namespace)
    service = service_of(host, rule.namespace)
    path = "spec.global.server.host"
    if service is None:
        hint = "for a server outside the mesh, write a ServiceEntry with its host"
        yield rule.problem(NOT_FOUND, path, f"host not found: no Service is {host}", hint)
        return
    ports = {port.port: port.speaks for port in service.spec.ports}
    where = service.source.position("spec.ports")
    protocol = ports.get(shared.server.port)
    path = "spec.global.server.port"
    if protocol is None:
        hint = f"it has {', '.join(map(str, ports))}"
        yield rule.problem(NOT_FOUND, path, f"{service.key} at {where} has no port {shared.server.port}", hint)
    elif protocol not in (Protocol.GRPC, Protocol.HTTP2):
        message = f"port {shared.server.port} of {service.key} at {where} does not say that it speaks gRPC"
        yield rule.problem("NoGrpc", path, message, "name it `grpc`")
