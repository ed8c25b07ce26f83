"""Istio's rules for EnvoyFilter by itself, on plain values.

Source of the rules: istio/istio, ``pkg/config/validation/validation.go``. Only what is a mistake without doubt is here; a
kind leaves this module when it gets a model in ``mizzen.resources``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.values import Values, at, elements, mapping, text
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join


def envoy_filter(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with an EnvoyFilter, and Istio's warning about all of them."""
    yield warning("kind", "an EnvoyFilter depends on how Istio configures Envoy, which may change with any version")
    for index, patch in elements(spec, "configPatches"):
        path = join("spec.configPatches", index)
        if not patch.get("applyTo"):
            yield Finding(path, "`applyTo` is required")
        if not mapping(patch, "patch"):
            yield Finding(path, "`patch` is required")
        elif not at(patch, "patch", "operation"):
            yield Finding(f"{path}.patch", "`operation` is required")
        elif text(patch, "patch", "operation") != "REMOVE" and at(patch, "patch", "value") is None:
            yield Finding(f"{path}.patch", "`value` is required")
