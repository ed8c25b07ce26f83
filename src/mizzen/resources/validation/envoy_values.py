"""What is wrong with a value that an EnvoyFilter puts into Envoy's configuration, by Envoy's own description of it.

The one place where users' resources meet Envoy's messages outside ``compile``: what an EnvoyFilter holds is one, and a
mistake in it is its author's, who is to be told its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mizzen.resources.envoy_filter import FILTERS, MERGES, TYPES
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join, path_of
from mizzen.resources.suggesting import listed, nearest

if TYPE_CHECKING:
    from mizzen.envoy_api.json_form import Mistake

# What leads to the control plane, and to whoever holds the keys: Envoy asks there for itself, and says who it is.
_OWN_CLUSTERS = frozenset({"sds-grpc", "xds-grpc"})
_ASKING = frozenset({"api_config_source", "apiConfigSource"})
_CONFIGURED_BY = frozenset({"typed_config", "typedConfig", "config_discovery", "configDiscovery"})


def value_findings(path: str, target: str, operation: str, value: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields what is wrong with the value of a patch, which stands at ``path``; what is merged need not be whole."""
    # It knows all of Envoy's API: files without EnvoyFilters are read in a fraction of the time without it.
    from mizzen.envoy_api import json_form, types

    whole, type_ = operation not in MERGES, types.known(TYPES[target])
    found = list(json_form.mistakes(value, type_, whole=whole))
    yield from (_finding(path, mistake) for mistake in found)
    if all(mistake.mild for mistake in found):
        # Nothing may get through that cannot be built, whatever was not thought of above.
        try:
            json_form.build(value, type_)
        except json_form.ParseError as error:
            yield Finding(path, f"is no {type_.full_name}: {error}")
    if whole and target in FILTERS and not _CONFIGURED_BY & value.keys():
        message = "Envoy finds a filter by the type of its configuration, and there is none"
        yield Finding(path, message, hint='write `typed_config: {"@type": type.googleapis.com/...}`')
    if target != "BOOTSTRAP":
        yield from _reaching_own(path, value)


def _reaching_own(path: str, value: object) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _ASKING:
                yield from _reaching_own(join(path, name), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _reaching_own(join(path, index), inner)
    elif value in _OWN_CLUSTERS:
        message = f"{value} is Mizzen's own: whoever reaches it could ask for the keys and the configuration of others"
        yield Finding(
            path, message, hint="only the source of a configuration or a secret (`api_config_source`) may name it"
        )


def _finding(path: str, mistake: Mistake) -> Finding:
    path = path_of(mistake.loc, path)
    if mistake.mild:
        return warning(path, mistake.message)
    near = nearest(mistake.given, mistake.known) if mistake.given else None
    unknown = bool(mistake.given and mistake.known and mistake.loc[-1] == mistake.given)
    hint = f"did you mean `{near}`?" if near else f"its fields are {listed(mistake.known)}" if unknown else ""
    return Finding(path, mistake.message, hint=hint, code="UnknownField" if unknown else "")
