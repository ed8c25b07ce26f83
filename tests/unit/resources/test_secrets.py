"""Secrets: what is taken, and that their keys are nowhere but where they are kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.support.certificates import Authority

from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.manifest import ObjectMeta
from mizzen.resources.resource import Resource
from mizzen.resources.secret import KEPT, SecretSpec, concealed

PLAIN = "cHJpdmF0ZQ=="


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def pair(authority: Authority, name: str = "shop") -> tuple[str, str]:
    certificate, key = authority.issue(name)
    return certificate.read_text(), key.read_text()


def written(contents: Mapping[str, str], *, text: bool = True, kind: str = "kubernetes.io/tls") -> str:
    data = contents if text else {name: base64.b64encode(value.encode()).decode() for name, value in contents.items()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop"},
            "type": kind,
            "stringData" if text else "data": data,
        }
    )


def tls(authority: Authority, *, text: bool = True) -> str:
    certificate, key = pair(authority)
    return written({"tls.crt": certificate, "tls.key": key}, text=text)


def one(text: str) -> Resource[SecretSpec]:
    loaded = load(text, "f")
    assert not loaded.problems, loaded.problems
    (resource,) = loaded.resources
    return resource


@pytest.mark.parametrize("text", [True, False])
def test_a_key_leaves_the_resource_when_it_is_read(authority: Authority, text: bool) -> None:
    certificate, key = pair(authority)
    secret = one(written({"tls.crt": certificate, "tls.key": key}, text=text))
    assert secret.spec.contents == {"tls.crt": certificate, "tls.key": KEPT}
    assert secret.private == {"tls.key": key}
    line = key.splitlines()[1]
    shown = f"{secret!r} {secret.spec!r} {secret.source.text} {secret.spec.to_document()}"
    assert line not in shown
    assert base64.b64encode(key.encode()).decode()[:60] not in shown


def test_what_is_stored_is_read_as_the_same_resource(authority: Authority) -> None:
    secret = one(tls(authority))
    again = one(secret.source.text)
    assert (again.key, again.digest, again.spec.content_digest) == (
        Key("Secret", "default", "shop"),
        secret.digest,
        secret.spec.content_digest,
    )
    assert again.private == {}
    assert one(again.source.text).source.text == again.source.text


def test_both_ways_to_write_it_are_one(authority: Authority) -> None:
    certificate, key = pair(authority)
    first, second = (one(written({"tls.crt": certificate, "tls.key": key}, text=text)) for text in (True, False))
    assert first.digest == second.digest


def test_another_certificate_has_another_digest(authority: Authority) -> None:
    assert one(tls(authority)).spec.content_digest != one(tls(authority)).spec.content_digest


def test_what_kubectl_notes_of_a_secret_is_not_kept(authority: Authority) -> None:
    document = yaml.safe_load(tls(authority, text=False))
    document["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(document),
        "team": "edge",
    }
    secret = one(json.dumps(document))
    assert secret.annotations == {"team": "edge"}
    assert document["data"]["tls.key"][:40] not in secret.source.text


def test_what_mizzen_has_no_use_for_is_said_and_not_kept(authority: Authority) -> None:
    certificate, key = pair(authority)
    loaded = load(written({"tls.crt": certificate, "tls.key": key, "password": "hunter2"}), "f")
    (problem,) = loaded.problems
    assert (problem.path, problem.level) == ("stringData.password", "warning")
    assert "hunter2" not in f"{loaded.problems}{loaded.resources[0].source.text}{loaded.resources[0].spec.contents}"


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("name", ["tls.crt", "cert", "cacert", "ca.crt", "ca.crl"])
def test_a_key_beside_a_certificate_is_refused_and_told_to_nobody(authority: Authority, name: str, text: bool) -> None:
    certificate, key = pair(authority)
    held = {"tls.crt": certificate, "tls.key": key} | ({"cert": certificate, "key": key} if name == "cert" else {})
    both = written(held | {name: certificate + key}, text=text, kind="Opaque")
    loaded = load(both, "f")
    assert not loaded.resources
    found = next(problem for problem in loaded.problems if problem.message == f"`{name}` has a private key in it")
    field = "stringData" if text else "data"
    assert found.path in (f"{field}[{name}]", f"{field}.{name}")
    assert found.hint == ("write it under `key` alone" if name == "cert" else "write it under `tls.key` alone")
    assert key.splitlines()[1] not in f"{loaded!r}"


def test_a_key_beside_a_certificate_would_not_be_shown_either(authority: Authority) -> None:
    certificate, key = pair(authority)
    _, shown, private = concealed(
        ObjectMeta(name="shop"), SecretSpec(string_data={"tls.crt": certificate + key, "tls.key": key})
    )
    assert shown.contents == {"tls.crt": KEPT, "tls.key": KEPT}
    assert private == {"tls.key": key}


def said(text: str) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in load(text, "f").problems]


@pytest.mark.parametrize(
    ("names", "type_", "expected"),
    [
        ("tls.crt", "kubernetes.io/tls", ["data: a Secret of type kubernetes.io/tls has `tls.crt` and `tls.key`"]),
        ("cert key", "kubernetes.io/tls", ["data: a Secret of type kubernetes.io/tls has `tls.crt` and `tls.key`"]),
        ("cert key", "Opaque", []),
        ("cert key cacert", "Opaque", []),
        ("tls.crt tls.key ca.crt", "Opaque", []),
        ("cacert", "Opaque", []),
        ("ca.crt", "Opaque", []),
        ("cert", "Opaque", ["stringData.cert: `cert` is of no use without `key`"]),
        ("tls.key ca.crt", "Opaque", ["stringData[tls.key]: `tls.key` is of no use without `tls.crt`"]),
        ("", "Opaque", ["data: it holds nothing that Mizzen has a use for"]),
        ("ca.crt", "kubernetes.io/dockerconfigjson", ["type: Mizzen has no use for a Secret of type 'kubernetes.io/dockerconfigjson'"]),
    ],
)  # fmt: skip
def test_which_names_go_together(authority: Authority, names: str, type_: str, expected: list[str]) -> None:
    certificate, key = pair(authority)
    ca = authority.root.read_text()
    all_of_them = {"cert": certificate, "tls.crt": certificate, "key": key, "tls.key": key, "cacert": ca, "ca.crt": ca}
    assert said(written({name: all_of_them[name] for name in names.split()}, kind=type_)) == expected


def test_what_is_written_must_be_what_it_is_called(authority: Authority, tmp_path: Path) -> None:
    certificate, key = pair(authority)
    _, other = pair(Authority(tmp_path))
    cases = {
        "stringData[tls.key]: the key is not that of the certificate": {"tls.crt": certificate, "tls.key": other},
        "stringData[tls.crt]: it holds no certificate in PEM form": {"tls.crt": "x", "tls.key": key},
        "stringData[tls.key]: it holds no private key in PEM form that can be read without a password": {
            "tls.crt": certificate,
            "tls.key": PLAIN,
        },
        "stringData[ca.crt]: `ca.crt` holds no certificate in PEM form": {"ca.crt": "x"},
        "stringData[ca.crl]: `ca.crl` holds no revocation list in PEM form": {
            "ca.crt": authority.root.read_text(),
            "ca.crl": certificate,
        },
    }
    for message, contents in cases.items():
        assert said(written(contents, kind="Opaque")) == [message]


@pytest.mark.parametrize(
    "more",
    [
        '"data": {"tls.key": "not base64 private"}',
        '"data": "private"',
        '"data": {"tls.key": ["private"]}',
        '"stringData": {"tls.key": {"a": "private"}}',
        '"type": ["private"]',
        '"immutable": "private"',
        '"spec": {"tls.key": "private"}',
    ],
)
def test_no_message_tells_of_a_value(more: str) -> None:
    loaded = load(f'{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "a"}}, {more}}}', "f")
    assert loaded.problems
    assert not any(
        "private" in f"{problem.message} {problem.hint}".replace("private key", "") for problem in loaded.problems
    )
    assert not loaded.resources


@pytest.mark.parametrize(
    ("field", "hint"),
    [("dataX", "did you mean `data`?"), ("types", "did you mean `type`?"), ("my.field", "the fields here are `type`")],
)
def test_an_unknown_field_is_said_where_it_stands(authority: Authority, field: str, hint: str) -> None:
    (problem,) = load(f"{tls(authority)[:-1]},\n  {json.dumps(field)}: {{}}}}", "f").problems
    assert (problem.code, problem.message) == ("UnknownField", f"unknown field `{field}`")
    assert str(problem.position) == "f:2:3"
    assert problem.hint.startswith(hint)


def test_a_secret_that_cannot_be_changed_is_refused(authority: Authority) -> None:
    document = {**yaml.safe_load(tls(authority)), "immutable": True}
    (problem,) = load(json.dumps(document), "f").problems
    assert (problem.code, problem.path) == ("NotImplemented", "immutable")
