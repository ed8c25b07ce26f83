"""What a document says it is: its kind, namespace and name, before anything else of it is read."""

from __future__ import annotations

from typing import Any

from mizzen.resources.findings import Finding
from mizzen.resources.key import Key
from mizzen.resources.kinds import IMPLEMENTED, KINDS, KUBERNETES_OTHERS, KUBERNETES_WORKLOADS, Kind, find_kind, kind_of
from mizzen.resources.suggesting import nearest
from mizzen.resources.yaml_values import described


def identify(value: Any, default_namespace: str) -> tuple[Kind | None, Key | None, list[Finding]]:
    """Returns the kind (None if it cannot be used), the key (None without kind or name), and what is wrong with them."""
    if not isinstance(value, dict):
        message = "a resource is a mapping with `apiVersion`, `kind`, `metadata` and `spec`"
        return None, None, [Finding("", message, code="WrongType", hint=f"this is {described(value)}")]
    key = _key(value, default_namespace)
    findings = [
        Finding(name, f"`{name}` is required", code="MissingField", hint=hint)
        for name, hint in (("apiVersion", _version_hint(value)), ("kind", f"such as `{IMPLEMENTED[0].kind}`"))
        if not isinstance(value.get(name), str) or not value[name]
    ]
    if findings:
        return None, key, findings
    kind = kind_of(value["apiVersion"], value["kind"])
    if kind is None:
        return None, key, [_unknown(value["apiVersion"], value["kind"])]
    if not kind.implemented:
        message = f"kind {kind.kind} is part of {kind.api_name} but not implemented yet in this version of Mizzen"
        return None, key, [Finding("kind", message, code="NotImplemented", hint=kind.instead or _usable())]
    return kind, key, []


def _key(value: dict[str, Any], default_namespace: str) -> Key | None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(value.get("kind"), str):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        return None
    return Key(value["kind"], namespace if isinstance(namespace, str) and namespace else default_namespace, name)


def _version_hint(value: dict[str, Any]) -> str:
    known = [kind for kind in KINDS if kind.kind == value.get("kind")]
    return f"for {known[0].kind} write `apiVersion: {known[0].api_versions[0]}`" if known else ""


def _unknown(api_version: str, name: str) -> Finding:
    same = [kind for kind in KINDS if kind.kind == name]
    if same:
        accepted = [version for kind in same for version in kind.api_versions]
        best = nearest(api_version, accepted) or accepted[0]
        message = f"{name} has no apiVersion {api_version!r}; it has {', '.join(accepted)}"
        return Finding("apiVersion", message, code="UnknownVersion", hint=f"write `apiVersion: {best}`")
    if name in KUBERNETES_WORKLOADS:
        message = f"kind {name} is Kubernetes' and not implemented: here a Workload says what runs"
        hint = "write a Workload (mizzen.dev/v1alpha1) with the command, ports and labels"
        return Finding("kind", message, code="NotImplemented", hint=hint)
    if name in KUBERNETES_OTHERS:
        message = f"kind {name} is Kubernetes' and not implemented yet in this version of Mizzen"
        return Finding("kind", message, code="NotImplemented", hint=f"remove this document; {_usable()}")
    if name == "List" or (name.endswith("List") and find_kind(name.removesuffix("List"))):
        hint = "write each resource below `items`, with `- ` before it"
        return Finding("items", f"a {name} has a list of resources in `items`", code="WrongType", hint=hint)
    near = nearest(name, [kind.kind for kind in KINDS])
    hint = f"did you mean `{near}`?" if near else _usable()
    return Finding("kind", f"unknown kind {name!r} in {api_version!r}", code="UnknownKind", hint=hint)


def _usable() -> str:
    return "the kinds that can be used are " + ", ".join(kind.kind for kind in IMPLEMENTED)
