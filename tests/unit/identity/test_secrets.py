from __future__ import annotations

from mizzen.identity import KeyMaterial
from mizzen.identity import secrets as sds
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

MATERIAL = KeyMaterial("key", "chain", "roots")


def test_the_secrets_of_a_workload_have_istios_names() -> None:
    assert set(sds.secrets(MATERIAL)) == {"default", "ROOTCA"}


def test_the_certificate_is_inline() -> None:
    secret = Secret.FromString(sds.secrets(MATERIAL)["default"].body)
    assert secret.name == "default"
    assert secret.tls_certificate.certificate_chain.inline_bytes == b"chain"
    assert secret.tls_certificate.private_key.inline_bytes == b"key"
    assert secret.WhichOneof("type") == "tls_certificate"


def test_the_roots_are_inline_and_nothing_else_is_decided() -> None:
    secret = Secret.FromString(sds.secrets(MATERIAL)["ROOTCA"].body)
    assert secret.validation_context.trusted_ca.inline_bytes == b"roots"
    assert [field.name for field, _ in secret.validation_context.ListFields()] == ["trusted_ca"]


def test_a_renewal_changes_the_certificate_and_leaves_the_roots_alone() -> None:
    before, after = sds.secrets(MATERIAL), sds.secrets(KeyMaterial("key 2", "chain 2", "roots"))
    assert before["default"].version != after["default"].version
    assert before["ROOTCA"] == after["ROOTCA"]


def test_other_names_can_be_asked_for() -> None:
    made = sds.certificate_secret("key", "chain", "spiffe://cluster.local/ns/default/sa/reviews")
    assert Secret.FromString(made.body).name == made.name == "spiffe://cluster.local/ns/default/sa/reviews"
    assert sds.roots_secret("roots", "other").name == "other"
