from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.analysis import World, found, read, read_mesh_config
from mizzen.analysis.reading import read_values


def shown(text: str) -> list[str]:
    return [item.shown for item in read([("f.yaml", text)], namespace="shop").items]


def test_documents_of_known_groups_become_items() -> None:
    text = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: cart}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: ops}
"""
    assert shown(text) == ["Service shop/cart", "Namespace shop", "AuthorizationPolicy ops/all"]


def test_lists_of_all_kinds_are_opened() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}}
---
apiVersion: networking.istio.io/v1
kind: GatewayList
items:
- metadata: {name: b}
  spec:
    selector: {app: b}
- metadata: {name: c}
"""
    loaded = read([("f.yaml", text)])
    assert [item.shown for item in loaded.items] == ["Pod default/a", "Gateway default/b", "Gateway default/c"]
    assert [str(item.position("spec.selector")) for item in loaded.items[1:]] == ["f.yaml:11:5", "f.yaml:12:1"]


def test_what_is_no_resource_is_a_problem_of_its_file() -> None:
    loaded = read([("f.yaml", "replicas: 3\n---\n- a\n---\na: [\n---\napiVersion: v1\nkind: Pod\nkind: Pod\n")])
    assert [(one.code, one.position and one.position.line) for one in loaded.problems] == [
        ("NotAResource", 1),
        ("NotAResource", 3),
        ("YAMLSyntax", 6),
        ("DuplicateKey", 9),
    ]
    assert [item.kind for item in loaded.items] == ["Pod"]


def test_resources_of_a_running_mesh_stand_where_they_were_written() -> None:
    value = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}, "spec": {"ports": []}}
    written = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec:\n  ports: []\n"
    (item,) = read_values([value | {"source": {"file": "/a/b.yaml", "line": 7, "text": written}}])
    assert (item.shown, str(item.position("spec.ports"))) == ("Service b/a", "/a/b.yaml:11:3")
    (kept,) = read_values([value | {"source": {"file": "/a/b.yaml", "line": 7, "text": ""}}])
    assert str(kept.position("spec.ports")) == "/a/b.yaml:7:1"


def test_what_was_found_and_nobody_wrote_has_no_place() -> None:
    value = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}}
    for source in ({}, {"source": {"file": "the container engine", "line": 0, "text": ""}}):
        (item,) = read_values([value | source])
        assert (item.shown, item.position("spec")) == ("Service b/a", None)


def test_a_mesh_config_stands_by_itself_or_in_a_config_map() -> None:
    assert read_mesh_config("rootNamespace: roots\n") == {"rootNamespace": "roots"}
    inside = "kind: ConfigMap\ndata:\n  mesh: |\n    rootNamespace: roots\n"
    assert read_mesh_config(inside) == {"rootNamespace": "roots"}
    assert read_mesh_config("- a\n") == {}


KINDS = (
    ("v1", "Namespace Pod Service Secret ConfigMap"),
    ("apps/v1", "Deployment StatefulSet"),
    ("batch/v1", "CronJob"),
    ("networking.istio.io/v1", "VirtualService DestinationRule Gateway ServiceEntry Sidecar EnvoyFilter WorkloadEntry"),
    ("security.istio.io/v1", "AuthorizationPolicy RequestAuthentication"),
    ("telemetry.istio.io/v1", "Telemetry"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("mizzen.dev/v1alpha1", "Workload"),
)
WORDS = (
    "hosts host http tls tcp route destination subset port number name ports match method exact regex retries retryOn"
    " attempts gateways selector matchLabels labels servers credentialName rules from source namespaces spec template"
    " containers image webhooks clientConfig url service namespaceSelector matchExpressions key operator values"
    " configPatches patch operation applyTo subsets trafficPolicy mode exportTo accessLogging providers status conditions"
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.sampled_from(["", "*", "a", "a/b", "GET", "SIMPLE", "5xx"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=4),
    max_leaves=25,
)
VALUES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([(version, kind) for version, kinds in KINDS for kind in kinds.split()]),
        "metadata": st.fixed_dictionaries({"name": ANYTHING, "labels": ANYTHING, "annotations": ANYTHING}),
        "spec": ANYTHING,
        "webhooks": ANYTHING,
        "status": ANYTHING,
        "data": ANYTHING,
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_no_form_of_a_document_breaks_an_analyzer(documents: list[dict[str, Any]]) -> None:
    values = [{**one, "apiVersion": one["kind"][0], "kind": one["kind"][1]} for one in documents]
    items = list(read_values(values))
    for running in (False, True):
        found(World(items, running=running))
