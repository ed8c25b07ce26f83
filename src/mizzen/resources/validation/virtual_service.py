"""Istio's rules for VirtualServices (``pkg/config/validation/virtualservice.go``)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources import hosts
from mizzen.resources.delegates import delegations
from mizzen.resources.findings import Finding
from mizzen.resources.gateway_names import for_mesh
from mizzen.resources.paths import join
from mizzen.resources.validation import (
    destinations,
    http_actions,
    http_filters,
    http_headers,
    l4_routes,
    names,
    string_matches,
)
from mizzen.resources.validation.unreachable import unreachable
from mizzen.resources.validation.unreachable_connections import unreachable_connections
from mizzen.resources.validation.unsafe_retries import unsafe_retries
from mizzen.resources.virtual_service import Delegate, HTTPRoute, VirtualServiceSpec


def virtual_service(spec: VirtualServiceSpec, namespace: str) -> Iterator[Finding]:
    if not spec.hosts:
        if spec.gateways:
            yield Finding("spec.gateways", "delegate virtual service must have no gateways specified")
        for name in (name for name in ("tls", "tcp") if getattr(spec, name)):
            yield Finding(f"spec.{name}", f"delegate virtual service must have no {name} route specified")
        for index, _ in delegations(spec.http):
            where = f"{join('spec.http', index)}.delegate"
            yield Finding(where, "delegate virtual service cannot contain delegate", hint="write its routes here")
    if not (spec.http or spec.tls or spec.tcp):
        yield Finding("spec", "http, tcp or tls must be provided in virtual service")
    yield from _hosts(spec)
    for index, gateway in enumerate(spec.gateways):
        yield from _gateway(join("spec.gateways", index), gateway)
    for index, route in enumerate(spec.http):
        yield from _http_route(join("spec.http", index), route, at_gateways=not for_mesh(spec.gateways))
    yield from unreachable(spec.http, spec.gateways)
    yield from l4_routes.tls_routes("spec.tls", spec)
    yield from unreachable_connections("tls", spec.tls, spec.gateways)
    yield from l4_routes.tcp_routes("spec.tcp", spec.tcp)
    yield from unreachable_connections("tcp", spec.tcp, spec.gateways)
    yield from names.export_to("spec.exportTo", spec.export_to, namespace)


def _hosts(spec: VirtualServiceSpec) -> Iterator[Finding]:
    in_mesh = for_mesh(spec.gateways)
    for index, host in enumerate(spec.hosts):
        path = join("spec.hosts", index)
        if host == "*" and in_mesh:
            yield Finding(path, "wildcard host * is not allowed for virtual services bound to the mesh gateway")
            continue
        wrong = list(names.host_or_address(path, host))
        yield from wrong
        twin = next((earlier for earlier in spec.hosts[:index] if hosts.matches(earlier, host)), None)
        if twin is not None and not wrong:
            yield Finding(path, f"duplicate hosts in virtual service: {twin} & {host}", hint="keep one of them")


def _gateway(path: str, gateway: str) -> Iterator[Finding]:
    namespace, slash, name = gateway.rpartition("/")
    if not name or (slash and not namespace):
        yield Finding(path, "config namespace and gateway name cannot be empty")
    elif not names.is_dns_subdomain(name) or (slash and namespace != "." and not names.is_dns_label(namespace)):
        yield Finding(path, f"invalid value for gateway name: {gateway!r}")


def _http_route(path: str, route: HTTPRoute, *, at_gateways: bool) -> Iterator[Finding]:
    yield from _one_action(path, route)
    for index, match in enumerate(route.match):
        yield from string_matches.match(join(f"{path}.match", index), match, at_gateways=at_gateways)
    yield from destinations.weighted(f"{path}.route", route.route)
    yield from http_actions.redirect(f"{path}.redirect", route)
    yield from http_actions.direct_response(f"{path}.directResponse", route.direct_response)
    yield from http_actions.rewrite(f"{path}.rewrite", route.rewrite)
    yield from http_actions.retries(f"{path}.retries", route.retries)
    yield from unsafe_retries(path, route)
    yield from names.duration(f"{path}.timeout", route.timeout)
    yield from http_filters.mirrors(path, route)
    yield from http_filters.fault(f"{path}.fault", route.fault)
    yield from http_filters.cors(f"{path}.corsPolicy", route.cors_policy)
    authority = route.rewrite.authority if route.rewrite else ""
    yield from http_headers.headers(f"{path}.headers", route.headers, authority)


def _delegate(path: str, given: Delegate) -> Iterator[Finding]:
    if not names.is_dns_subdomain(given.name):
        yield Finding(
            f"{path}.name", f"delegate name {given.name!r} is invalid", hint="write the name of a VirtualService"
        )
    if given.namespace and not names.is_dns_label(given.namespace):
        yield Finding(f"{path}.namespace", f"delegate namespace {given.namespace!r} is invalid")


def _one_action(path: str, route: HTTPRoute) -> Iterator[Finding]:
    if route.delegate is not None:
        yield from _delegate(f"{path}.delegate", route.delegate)
        for name in (name for name in ("route", "redirect") if getattr(route, name)):
            yield Finding(f"{path}.{name}", f"root HTTP route with a delegate must not specify {name}")
        return
    if not (route.route or route.redirect or route.direct_response):
        hint = "write `route` with a `destination`"
        yield Finding(path, "HTTP route, redirect or direct_response is required", hint=hint)
    both = (
        ("route", "redirect"),
        ("fault", "redirect"),
        ("rewrite", "redirect"),
        ("redirect", "direct_response"),
        ("route", "direct_response"),
        ("fault", "direct_response"),
        ("rewrite", "direct_response"),
    )
    for one, other in both:
        if getattr(route, one) and getattr(route, other):
            yield Finding(path, f"HTTP route cannot contain both {one} and {other}", hint="keep one of them")
