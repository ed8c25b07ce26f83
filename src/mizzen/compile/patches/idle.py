"""Patches of EnvoyFilters that change nothing: a name that is misspelt in a match is no mistake that a file shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.compile.compiler import Compiler
from mizzen.compile.patches.seat_values import trespass
from mizzen.mesh.envoy_filters import VERSION, selected
from mizzen.mesh.model import EnvoyFilter, Instance, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem

CODE = "PatchesNothing"
TRESPASS = "NotAtSeats"
_OWN_NAMES = frozenset({"CLUSTER", "LISTENER", "EXTENSION_CONFIG"})


def idle_patches(compiler: Compiler, snapshot: Snapshot) -> Iterator[Problem]:
    """Yields a warning for each patch that changes nothing in any proxy of the snapshot, which are compiled for that."""
    if not snapshot.envoy_filters:
        return
    proxies = [one for one in snapshot.proxies.values() if one.kind is not ProxyKind.PROXYLESS]
    for proxy in proxies:
        compiler.compile(proxy, snapshot)
    hits = frozenset().union(*(compiler.hits(proxy) for proxy in proxies))
    instances = [instance for proxy in proxies for instance in proxy.instances]
    at_seats = {each.id for proxy in proxies if proxy.kind is ProxyKind.NODE for each in proxy.instances}
    for one in snapshot.envoy_filters:
        picked = [each for each in instances if selected([one], each.namespace, each.labels, snapshot.root_namespace)]
        if not picked:
            yield _nobody(one, snapshot.root_namespace)
            continue
        seated = [each for each in picked if each.id in at_seats]
        for index, written in enumerate(one.spec.config_patches):
            if seated and written.patch and (why := trespass(written.patch.value)):
                yield _kept_out(one, index, seated, why)
                continue
            # Bootstraps are not the compiler's: see :mod:`mizzen.control.idle`.
            if (one.key, index) not in hits and written.apply_to != "BOOTSTRAP":
                yield _nothing(one, index, picked)


def _nobody(one: EnvoyFilter, root: str) -> Problem:
    labels = one.spec.workload_selector.labels if one.spec.workload_selector else {}
    shown = f" with the labels {', '.join(f'{key}: {value}' for key, value in labels.items())}" if labels else ""
    path = "spec.workloadSelector" if labels else "metadata.namespace"
    message = f"it is for no proxy: none runs in namespace {one.namespace}{shown}"
    hint = f"in namespace {root} it is for all namespaces"
    return one.problem(CODE, path, message, hint, Level.WARNING)


def _kept_out(one: EnvoyFilter, index: int, seated: Iterable[Instance], why: str) -> Problem:
    path = f"{join('spec.configPatches', index)}.patch.value"
    message = f"this patch is not for {_shown(seated)}, which have a seat in the proxy of their node: {why}"
    return one.problem(TRESPASS, path, message, "give them a proxy of their own (`proxy: sidecar`)", Level.WARNING)


def _shown(instances: Iterable[Instance]) -> str:
    names = sorted(each.id for each in instances)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _nothing(one: EnvoyFilter, index: int, picked: list[Instance]) -> Problem:
    written = one.spec.config_patches[index]
    path = join("spec.configPatches", index)
    who = _shown(picked)
    message = f"this patch changes nothing: no {written.apply_to} of {who} is what it matches"
    hint = "`mizzen proxy config` shows the names there are"
    if written.patch and written.patch.operation == "ADD" and written.apply_to in _OWN_NAMES:
        name = (written.patch.value or {}).get("name")
        message = f"this patch changes nothing: {who} have a {written.apply_to} {name} already, or none for its context"
    if written.match.proxy and written.match.proxy.proxy_version:
        message = f"this patch changes nothing: no proxy of {who} has a fitting {VERSION} in its metadata"
        hint = "remove `proxyVersion`"
    return one.problem(CODE, path, message, hint, Level.WARNING)
