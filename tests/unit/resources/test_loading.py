from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.resources.key import Key
from mizzen.resources.kinds import KINDS
from mizzen.resources.loading import Loaded, load, load_paths
from mizzen.resources.problems import Position
from mizzen.resources.virtual_service import VirtualServiceSpec

USABLE = ", ".join(kind.kind for kind in KINDS if kind.implemented)

ROUTE = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata:
      name: reviews
    spec:
      hosts: [reviews]
      http:
      - route:
        - destination:
            host: reviews
            subset: v1
    """

Read = Callable[[str], Loaded]


def only_problems(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_a_resource_says_what_it_is_and_where_it_stands(read: Read) -> None:
    loaded = read(ROUTE)
    (resource,) = loaded.resources
    assert loaded.problems == ()
    assert resource.key == Key("VirtualService", "default", "reviews")
    assert resource.api_version == "networking.istio.io/v1"
    assert isinstance(resource.spec, VirtualServiceSpec)
    assert resource.spec.http[0].route[0].destination is not None
    assert resource.spec.http[0].route[0].destination.subset == "v1"
    assert resource.source.line == 1
    assert resource.source.position("spec.http[0].route[0].destination.subset") == Position("f.yaml", 11, 17)
    assert resource.source.position("spec.http[0].timeout") == Position("f.yaml", 8, 5)


def test_the_namespace_is_the_resources_own_or_the_default() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a%s}\nspec: {ports: [{port: 80}]}\n"
    (own,) = load(text % ", namespace: shop", "f", default_namespace="other").resources
    (default,) = load(text % "", "f", default_namespace="other").resources
    assert (own.namespace, default.namespace) == ("shop", "other")


def test_what_a_kubernetes_server_sets_is_ignored(read: Read) -> None:
    loaded = read("""
        apiVersion: v1
        kind: Service
        metadata:
          name: a
          creationTimestamp: "2024-01-01T00:00:00Z"
          resourceVersion: "12"
          uid: 0b6a
          generation: 3
          managedFields: [{manager: kubectl}]
        spec:
          ports: [{port: 80, protocol: TCP}]
          selector: {app: a}
          type: ClusterIP
          sessionAffinity: None
          internalTrafficPolicy: Cluster
          ipFamilies: [IPv4]
          ipFamilyPolicy: SingleStack
        status:
          loadBalancer: {}
        """)
    assert only_problems(loaded) == []
    assert len(loaded.resources) == 1


def test_all_problems_are_reported_at_once_and_the_good_documents_are_kept(read: Read) -> None:
    loaded = read("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata:
          name: Bad_Name
          labels: {version: 1}
        spec:
          host: [reviews]
          http:
          - timeout: 5
            match: [{gateways: [web]}]
            route:
            - destination: {host: 7}
              subset: v1
        ---
        a: [
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: good}
        spec: {ports: [{port: 80}]}
        """)
    assert [resource.name for resource in loaded.resources] == ["good"]
    assert only_problems(loaded) == [
        (
            "f.yaml:4:9: error: VirtualService default/Bad_Name: metadata.name: 'Bad_Name' is not a valid name "
            "(DNS-1123 subdomain) (use a-z, 0-9, - and ., with a letter or digit first and last) [InvalidName]"
        ),
        (
            "f.yaml:5:21: error: VirtualService default/Bad_Name: metadata.labels.version: must be text, not the number 1 "
            '(write it in quotes: "1") [WrongType]'
        ),
        (
            "f.yaml:7:3: error: VirtualService default/Bad_Name: spec.host: unknown field `host` (did you mean `hosts`?) "
            "[UnknownField]"
        ),
        (
            "f.yaml:9:14: error: VirtualService default/Bad_Name: spec.http[0].timeout: the number 5 is not a duration "
            '(write it with its unit: "5s" or "5ms") [WrongType]'
        ),
        (
            "f.yaml:12:27: error: VirtualService default/Bad_Name: spec.http[0].route[0].destination.host: must be text, "
            'not the number 7 (write it in quotes: "7") [WrongType]'
        ),
        (
            "f.yaml:13:7: error: VirtualService default/Bad_Name: spec.http[0].route[0].subset: unknown field `subset` "
            "(`subset` is a field of `destination` below this: indent it under that) [UnknownField]"
        ),
        (
            "f.yaml:16:1: error: not YAML: while parsing a flow node did not find expected node content (check the "
            "indentation of this line and of the line above, and that each field ends with ':') [YAMLSyntax]"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[1, 2]",
            (
                "f:1:1: error: a resource is a mapping with `apiVersion`, `kind`, `metadata` and `spec` "
                "(this is a list) [WrongType]"
            ),
        ),
        (
            "kind: Workload",
            (
                "f:1:1: error: apiVersion: `apiVersion` is required "
                "(for Workload write `apiVersion: mizzen.dev/v1alpha1`) [MissingField]"
            ),
        ),
        (
            "apiVersion: v1",
            "f:1:1: error: kind: `kind` is required (such as `Workload`) [MissingField]",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualServices",
            (
                "f:2:7: error: kind: unknown kind 'VirtualServices' in 'networking.istio.io/v1' "
                "(did you mean `VirtualService`?) [UnknownKind]"
            ),
        ),
        (
            "apiVersion: example.com/v1\nkind: Elephant",
            (
                "f:2:7: error: kind: unknown kind 'Elephant' in 'example.com/v1' (the kinds that can be used are "
                f"{USABLE}) [UnknownKind]"
            ),
        ),
        (
            "apiVersion: networking.istio.io/v1alpha1\nkind: DestinationRule",
            (
                "f:1:13: error: apiVersion: DestinationRule has no apiVersion 'networking.istio.io/v1alpha1'; it has "
                "networking.istio.io/v1, networking.istio.io/v1beta1, networking.istio.io/v1alpha3 "
                "(write `apiVersion: networking.istio.io/v1alpha3`) [UnknownVersion]"
            ),
        ),
        (
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: g}",
            (
                "f:2:7: error: Telemetry default/g: kind: kind Telemetry is part of Istio's API but not "
                f"implemented yet in this version of Mizzen (the kinds that can be used are {USABLE}) [NotImplemented]"
            ),
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: g}",
            (
                "f:2:7: error: Deployment default/g: kind: kind Deployment is Kubernetes' and not implemented: here a "
                "Workload says what runs (write a Workload (mizzen.dev/v1alpha1) with the command, ports and labels) "
                "[NotImplemented]"
            ),
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}",
            (
                "f:2:7: error: HTTPRoute default/r: kind: kind HTTPRoute is part of the Gateway API but not implemented "
                f"yet in this version of Mizzen (the kinds that can be used are {USABLE}) [NotImplemented]"
            ),
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}",
            (
                "f:2:7: error: PeerAuthentication default/p: kind: kind PeerAuthentication is part of Istio's API but not "
                "implemented yet in this version of Mizzen (remove it: without it mutual TLS is STRICT, and nothing makes it "
                "less; who would call in plaintext, as PERMISSIVE and DISABLE allow, joins the mesh by `mizzen run` or `mizzen "
                "attach`, or comes through a gateway) [NotImplemented]"
            ),
        ),
        (
            "apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80}]}",
            (
                "f:1:1: error: metadata: `metadata` is required (its fields are `name`, `namespace`, `labels`, "
                "`annotations`) [MissingField]"
            ),
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {ports: [{port: 80}]}",
            "f:3:1: error: metadata.name: `name` is required [MissingField]",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\nspec: {ports: [{port: 80}]}",
            (
                "f:3:18: error: Service default/a.b: metadata.name: 'a.b' is not a valid name (DNS-1123 label) (use at "
                "most 63 of a-z, 0-9 and -, with a letter or digit first and last) [InvalidName]"
            ),
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, generateName: b}\nspec: {ports: [{port: 80}]}",
            (
                "f:3:35: error: Service default/a: metadata.generateName: `generateName` is part of Kubernetes' API but "
                "not implemented yet in this version of Mizzen (remove it; without it the rest takes effect) "
                "[NotImplemented]"
            ),
        ),
    ],
)
def test_what_is_no_resource_is_said_in_one_line(text: str, expected: str) -> None:
    loaded = load(text, "f")
    assert loaded.resources == ()
    assert only_problems(loaded) == [expected]


def test_the_parent_of_a_misspelt_field_is_not_reported_for_what_it_lacks(read: Read) -> None:
    for right, wrong in (("- route:", "- rout:"), ("hosts:", "host:")):
        loaded = read(ROUTE.replace(right, wrong))
        assert [problem.code for problem in loaded.problems] == ["UnknownField"]


def test_a_resource_that_is_written_twice_shows_both_places(read: Read) -> None:
    loaded = read(f"{textwrap.dedent(ROUTE)}---{textwrap.dedent(ROUTE)}")
    assert len(loaded.resources) == 1
    assert only_problems(loaded) == [
        (
            "f.yaml:16:9: error: VirtualService default/reviews: metadata.name: it is written "
            "twice: at f.yaml:4:9 and at f.yaml:16:9 (keep one of them, or give one another name or namespace) "
            "[DuplicateResource]"
        )
    ]


def test_a_list_is_unpacked(read: Read) -> None:
    loaded = read("""
        kind: List
        apiVersion: v1
        items:
        - apiVersion: v1
          kind: Service
          metadata: {name: a}
          spec: {ports: [{port: 80}]}
        - apiVersion: v1
          kind: Service
          metadata: {name: b}
          spec: {ports: [{port: "80"}]}
        """)
    assert [resource.name for resource in loaded.resources] == ["a"]
    assert [(problem.position, problem.path) for problem in loaded.problems] == [
        (Position("f.yaml", 11, 25), "spec.ports[0].port")
    ]


@pytest.mark.parametrize("items", ["items: {a: 1}", "item: []"])
def test_a_list_without_a_list_says_so(read: Read, items: str) -> None:
    (problem,) = read(f"apiVersion: v1\nkind: List\n{items}\n").problems
    assert (problem.path, problem.code) == ("items", "WrongType")
    assert problem.message == "a List has a list of resources in `items`"


def test_the_digest_is_over_what_is_said_and_not_how(read: Read) -> None:
    (first,) = read(ROUTE).resources
    json_text = (
        '{"spec": {"http": [{"route": [{"destination": {"subset": "v1", "host": "reviews"}}]}], "hosts": ["reviews"]},'
        '"kind": "VirtualService", "apiVersion": "networking.istio.io/v1beta1", "metadata": {"name": "reviews"}}'
    )
    (second,) = load(json_text, "other.json", first_line=7).resources
    assert first.digest == second.digest
    assert first == second.__class__(**{**vars(second), "api_version": first.api_version})
    assert len(first.digest) == 16


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: reviews\n", "name: ratings\n"),
        ("name: reviews\n", "name: reviews\n      namespace: other\n"),
        ("name: reviews\n", "name: reviews\n      labels: {a: b}\n"),
        ("name: reviews\n", "name: reviews\n      annotations: {a: b}\n"),
        ("subset: v1", "subset: v2"),
    ],
)
def test_the_digest_changes_with_each_part(read: Read, old: str, new: str) -> None:
    (first,) = read(ROUTE).resources
    (second,) = read(ROUTE.replace(old, new, 1)).resources
    assert first.digest != second.digest


def test_the_same_duration_in_another_form_is_no_change(read: Read) -> None:
    text = ROUTE + "\n        timeout: %s\n"
    digests = {load(textwrap.dedent(text % form), "f").resources[0].digest for form in ("1.5s", "1500ms")}
    assert len(digests) == 1


@given(st.text())
def test_no_text_raises(text: str) -> None:
    load(text, "f")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "apiVersion",
                        "kind",
                        "metadata",
                        "spec",
                        "name",
                        "labels",
                        "hosts",
                        "http",
                        "match",
                        "uri",
                        "route",
                        "timeout",
                        "exact",
                        "items",
                    ]
                )
                | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_no_value_raises(value: Any) -> None:
    envelope = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}}
    load(json.dumps(value), "f")
    load(json.dumps({**envelope, "spec": value}), "f")
    load(json.dumps({**envelope, "spec": {"hosts": value, "http": value}, "metadata": value}), "f")


def test_a_directory_is_read_in_the_order_of_names_and_not_further_down(tmp_path: Path) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n"
    for name in ("b.yml", "a.yaml", "c.json", "d.txt", ".f.yaml"):
        (tmp_path / name).write_text(service % name[0])
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.yaml").write_text(service % "e")
    loaded = load_paths([tmp_path, tmp_path / "a.yaml"])
    assert only_problems(loaded) == []
    assert [resource.name for resource in loaded.resources] == ["a", "b", "c"]
    assert loaded.resources[0].source.file == str(tmp_path / "a.yaml")


def test_duplicates_are_found_across_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}]}\n"
        )
    loaded = load_paths([tmp_path])
    assert len(loaded.resources) == 1
    assert [problem.code for problem in loaded.problems] == ["DuplicateResource"]
    assert str(tmp_path / "a.yaml") in loaded.problems[0].message


def test_paths_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    (tmp_path / "empty").mkdir()
    loaded = load_paths([tmp_path / "none.yaml", tmp_path / "latin.yaml", tmp_path / "empty"])
    assert [(problem.code, problem.level.value, problem.position) for problem in loaded.problems] == [
        ("NoResources", "warning", None),
        ("NotReadable", "error", None),
        ("YAMLSyntax", "error", Position(str(tmp_path / "latin.yaml"), 2)),
    ]
