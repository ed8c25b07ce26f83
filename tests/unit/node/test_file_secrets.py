"""Certificates of gateways that stand in files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.support.certificates import Authority

from mizzen.node.file_secrets import FileSecrets, UnusableError, read
from mizzen.registry.reports import FileSecret
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

EDGE, OTHER = ("default", "edge-0"), ("default", "other-0")


class Node:
    """Secrets of gateways, and what was told of them."""

    def __init__(self) -> None:
        self.news = 0
        self.told: list[str] = []
        self.secrets = FileSecrets(self._note)

    def _note(self) -> None:
        self.news += 1

    def want(self, *wanted: FileSecret, gateway: tuple[str, str] = EDGE) -> None:
        self.secrets.want(gateway, wanted, lambda: self.told.append(self.secrets.problem(gateway)))

    def chain(self, gateway: tuple[str, str] = EDGE) -> bytes:
        (made,) = self.secrets.of(gateway).values()
        return Secret.FromString(made.body).tls_certificate.certificate_chain.inline_bytes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def pair(authority: Authority, name: str = "shop") -> FileSecret:
    certificate, key = authority.issue(name)
    return FileSecret(name=f"file-cert:{name}", certificate=str(certificate), key=str(key))


def test_a_pair_and_an_authority_are_read(authority: Authority) -> None:
    node, wanted = Node(), pair(authority)
    node.want(wanted, FileSecret(name="file-root:ca", roots=str(authority.root)))
    assert sorted(node.secrets.of(EDGE)) == ["file-cert:shop", "file-root:ca"]
    assert node.secrets.problem(EDGE) == ""
    assert node.secrets.of(OTHER) == {}


def test_a_change_is_taken_up_when_both_files_fit(authority: Authority) -> None:
    node, wanted = Node(), pair(authority)
    node.want(wanted)
    before, key, news = node.chain(), Path(wanted.key).read_bytes(), node.news
    node.secrets.refresh()
    assert node.news == news
    authority.issue("shop")
    new_key = Path(wanted.key).read_bytes()
    Path(wanted.key).write_bytes(key)
    node.secrets.refresh()
    assert node.chain() == before
    assert node.told == [
        f"the key in {wanted.key} is not that of the certificate in {wanted.certificate}",
    ]
    Path(wanted.key).write_bytes(new_key)
    node.secrets.refresh()
    assert node.chain() != before
    assert node.told[1:] == [""]


def test_a_file_that_comes_later_is_served_then(authority: Authority, tmp_path: Path) -> None:
    node = Node()
    node.want(FileSecret(name="late", roots=str(tmp_path / "late.pem")))
    assert node.secrets.of(EDGE) == {}
    assert node.secrets.problem(EDGE) == f"{tmp_path / 'late.pem'}: No such file or directory"
    (tmp_path / "late.pem").write_bytes(authority.root.read_bytes())
    node.secrets.refresh()
    assert list(node.secrets.of(EDGE)) == ["late"]


def test_what_nobody_wants_any_more_is_forgotten(authority: Authority) -> None:
    node, wanted = Node(), pair(authority)
    node.want(wanted)
    node.want(wanted, gateway=OTHER)
    node.secrets.forget(EDGE)
    assert node.secrets.of(EDGE) == {}
    assert node.chain(OTHER)
    node.want(gateway=OTHER)
    assert node.secrets.of(OTHER) == {}


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("no PEM", None, "holds no certificate in PEM form"),
        ("\u00e4", None, "is not in PEM form"),
        (None, "no PEM", "holds no private key that can be read without a password"),
    ],
)
def test_files_that_are_of_no_use(authority: Authority, certificate: str | None, key: str | None, message: str) -> None:
    wanted = pair(authority)
    for path, text in ((wanted.certificate, certificate), (wanted.key, key)):
        if text is not None:
            Path(path).write_text(text)
    with pytest.raises(UnusableError, match=message):
        read(wanted)


def test_a_secret_that_names_other_files_is_read_at_once(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    before = node.chain()
    node.want(msgspec.structs.replace(pair(authority, "other"), name=first.name))
    assert list(node.secrets.of(EDGE)) == [first.name]
    assert node.chain() != before


def test_where_there_is_nothing_what_was_served_stays_and_is_told_of(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    before = node.chain()
    node.want(FileSecret(name=first.name, problem="there is no Secret shop"))
    assert node.chain() == before
    assert node.secrets.problem(EDGE) == "there is no Secret shop"
    # Who comes later has none.
    node.want(FileSecret(name=first.name, problem="there is no Secret shop"), gateway=OTHER)
    assert node.secrets.of(OTHER) == {}
    node.want(FileSecret(name="another", problem="there is no Secret shop"))
    assert node.secrets.of(EDGE) == {}


def test_what_was_served_is_forgotten_when_there_is_something_in_its_place(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    old = node.secrets.of(EDGE)[first.name]
    late = FileSecret(name=first.name, certificate=f"{first.certificate}.late", key=f"{first.key}.late")
    node.want(late)
    assert node.secrets.of(EDGE) == {first.name: old}
    certificate, key = authority.issue("other")
    certificate.rename(late.certificate)
    key.rename(late.key)
    node.secrets.refresh()
    assert node.secrets.of(EDGE)[first.name] != old
    assert not node.secrets._users[EDGE].before
    node.want(msgspec.structs.replace(pair(authority, "third"), name=first.name))
    assert not node.secrets._users[EDGE].before


def test_two_gateways_have_their_own_under_one_name(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    node.want(msgspec.structs.replace(pair(authority, "other"), name=first.name), gateway=OTHER)
    assert node.chain() != node.chain(OTHER)


def test_files_that_never_change_are_not_looked_at(authority: Authority) -> None:
    node, first = Node(), msgspec.structs.replace(pair(authority), watched=False)
    node.want(first)
    Path(first.key).unlink()
    node.secrets.refresh()
    assert node.secrets.problem(EDGE) == ""


def test_authorities_have_their_list_of_what_they_revoked(authority: Authority) -> None:
    node = Node()
    wanted = FileSecret(name="file-root:ca", roots=str(authority.root), crl=str(authority.revoke()))
    node.want(wanted)
    (made,) = node.secrets.of(EDGE).values()
    assert b"X509 CRL" in Secret.FromString(made.body).validation_context.crl.inline_bytes
    Path(wanted.crl).write_text("nothing")
    node.secrets.refresh()
    assert "holds no revocation list" in node.secrets.problem(EDGE)
