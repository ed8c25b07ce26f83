"""What is written of how proxies are started, and has no effect, or not yet, or not on all that it means. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mizzen.compile.patches.idle import CODE
from mizzen.mesh.model import EnvoyFilter, Instance, Labels, Proxy, ProxyConfig, Snapshot
from mizzen.mesh.proxy_configs import applied_configs
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.proxy_policy import StartPolicy
from mizzen.registry.proxy_settings import SYSTEM_NAMESPACE
from mizzen.registry.reports import Report
from mizzen.resources.key import Key
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.proxy_config import METADATA_PREFIX
from mizzen.resources.resource import Resource

NOTHING, NOT_SEATS, LATER = "StartsNothing", "NotForSeats", "StartsLater"
_SHOWN = 3
_OF_MEMBERS = "start the container or the command again, or have it served by another kind of proxy and back"
_OF_NODE = "the proxy of a node starts with the mesh"
UseKey = TypeVar("UseKey", bound=Hashable)


@dataclass(frozen=True)
class _Subject:
    """Whom an Envoy is started for, or who has a seat in that of a node. ``started_with`` are the digests of what its Envoy was
    started with; None for one that is replaced with each change, or does not run. ``again`` says how it is started again.
    """

    id: str
    proxy: str
    namespace: str
    workload: str = ""
    service_account: str = ""
    labels: Labels = ()
    is_gateway: bool = False
    started_with: tuple[str, ...] | None = None
    again: str = _OF_MEMBERS

    def configs(self, policy: StartPolicy) -> list[ProxyConfig]:
        return applied_configs(policy.configs, self.namespace, self.labels, policy.root)

    def patches(self, policy: StartPolicy) -> Iterator[tuple[EnvoyFilter, int]]:
        return policy.patches(
            self.namespace, self.workload, self.service_account, self.labels, is_gateway=self.is_gateway
        )


@dataclass
class _Use:
    """Those who are started with a part of a resource, and those at a seat for whom it would be meant."""

    starting: list[_Subject] = field(default_factory=list)
    seated: list[_Subject] = field(default_factory=list)


def idle_settings(snapshot: Snapshot, written: Collection[Key], report: Report | None = None) -> Iterator[Problem]:
    """Yields a warning for each ProxyConfig, and each patch of a bootstrap, with which no proxy is started, or not, or not yet,
    all that it means.

    ``written`` are the resources that users wrote: the replicas of Workloads among them are replaced with each change. Of all
    others ``report`` tells what they were started with.
    """
    if not snapshot.proxy_configs and not snapshot.envoy_filters:
        return
    policy = StartPolicy.in_force(snapshot)
    starting, seated = _subjects(snapshot, written, report or Report(node=""))
    yield from _idle_configs(policy, starting, seated)
    yield from _idle_patches(policy, starting, seated)


def _idle_configs(policy: StartPolicy, starting: list[_Subject], seated: list[_Subject]) -> Iterator[Problem]:
    uses = _uses(starting, seated, lambda one: (config.key for config in one.configs(policy)))
    for config in policy.configs:
        use = uses[config.key]
        if not use.starting and not use.seated:
            message = "no proxy is started with it: it is for none that runs, or an older one counts"
            yield config.problem(NOTHING, "spec", message, level=Level.WARNING)
        elif use.seated and not _only_says(config):
            yield _not_for_seats(config, "spec", use, policy.root)
        if config.spec.concerns_start:
            yield from _later(config, "spec", use)


def _idle_patches(policy: StartPolicy, starting: list[_Subject], seated: list[_Subject]) -> Iterator[Problem]:
    uses = _uses(starting, seated, lambda one: ((found.key, index) for found, index in one.patches(policy)))
    for one in policy.filters:
        for index, patch in enumerate(one.spec.config_patches):
            if patch.apply_to != "BOOTSTRAP":
                continue
            path, use = join("spec.configPatches", index), uses[one.key, index]
            if not use.starting and not use.seated:
                message = "this patch changes nothing: no proxy is started with it"
                yield one.problem(CODE, path, message, level=Level.WARNING)
            elif use.seated:
                yield _not_for_seats(one, path, use, policy.root)
            yield from _later(one, path, use)


def _only_says(config: ProxyConfig) -> bool:
    """Tells whether all that it says is what proxies say of themselves, which counts at a seat: EnvoyFilters ask for it."""
    names = config.spec.environment_variables
    return config.spec.concurrency is None and all(name.startswith(METADATA_PREFIX) for name in names)


def _not_for_seats(one: Resource[Any], path: str, use: _Use, root: str) -> Problem:
    only = "no proxy is started with it" if not use.starting else "not all proxies are started with it"
    message = f"{only}: {_shown(use.seated)} have a seat in the proxy of their node, which is started once for all"
    hint = f"give them a proxy of their own (`proxy: sidecar`), or say it in {SYSTEM_NAMESPACE}, or {root} for all"
    return one.problem(NOT_SEATS, path, message, hint, Level.WARNING)


def _later(one: Resource[Any], path: str, use: _Use) -> Iterator[Problem]:
    waiting = [each for each in use.starting if each.started_with is not None and one.digest not in each.started_with]
    if waiting:
        message = f"it takes effect when these proxies start again: {_shown(waiting)}"
        yield one.problem(LATER, path, message, "; ".join(sorted({each.again for each in waiting})), Level.WARNING)


def _shown(subjects: Iterable[_Subject]) -> str:
    names = sorted(one.id for one in subjects)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _uses(
    starting: Iterable[_Subject], seated: Iterable[_Subject], said_for: Callable[[_Subject], Iterable[UseKey]]
) -> Mapping[UseKey, _Use]:
    """Returns who is started with what; a seat counts for what its proxy is not started with."""
    uses: defaultdict[UseKey, _Use] = defaultdict(_Use)
    of_proxies: dict[str, set[UseKey]] = {}
    for one in starting:
        of_proxies[one.id] = set(said_for(one))
        for key in of_proxies[one.id]:
            uses[key].starting.append(one)
    for one in seated:
        for key in set(said_for(one)) - of_proxies.get(one.proxy, set()):
            uses[key].seated.append(one)
    return uses


def _subjects(snapshot: Snapshot, written: Collection[Key], report: Report) -> tuple[list[_Subject], list[_Subject]]:
    """Returns those for whom an Envoy is started, the proxies of nodes included, and those who have a seat in such a one."""
    starting, seated = [], []
    reported = {f"{one.name}.{one.namespace}": one for one in report.instances}
    for proxy in snapshot.proxies.values():
        if proxy.kind is ProxyKind.NODE:
            name = proxy.id.removesuffix(f".{proxy.namespace}")
            told = report.node_proxy_started_with if proxy.id == report.node_proxy else None
            starting.append(_Subject(proxy.id, proxy.id, proxy.namespace, name, started_with=told, again=_OF_NODE))
        for instance in proxy.instances:
            if proxy.kind is ProxyKind.NODE:
                seated.append(_subject(instance, proxy))
            elif proxy.kind in (ProxyKind.SIDECAR, ProxyKind.GATEWAY):
                found = None if instance.origin in written else reported.get(instance.id)
                starting.append(_subject(instance, proxy, found.started_with if found else None))
    return starting, seated


def _subject(instance: Instance, proxy: Proxy, started_with: tuple[str, ...] | None = None) -> _Subject:
    account = SpiffeId.parse(instance.identity).service_account
    return _Subject(
        id=instance.id,
        proxy=proxy.id,
        namespace=instance.namespace,
        workload=instance.origin.name,
        service_account=account,
        labels=instance.labels,
        is_gateway=proxy.kind is ProxyKind.GATEWAY,
        started_with=started_with,
    )
