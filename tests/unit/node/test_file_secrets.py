"""Certificates of instances that stand in files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.support.certificates import Authority

from mizzen.compile.resource import XdsResource
from mizzen.node.file_secrets import FileSecrets, UnusableError, read
from mizzen.node.secret_events import SecretUnusable
from mizzen.registry.reports import FileSecret
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

EDGE, OTHER, WEB = ("default", "edge-0"), ("default", "other-0"), ("web", "web-0")


class Node:
    """Secrets of instances, and what was told of them."""

    def __init__(self, system_roots: str = "") -> None:
        self.news = 0
        self.followed: list[str] = []
        self.told: list[tuple[str, list[tuple[str, str]]]] = []
        self.wanted: dict[tuple[str, str], tuple[FileSecret, ...]] = {}
        self.secrets = FileSecrets(
            self._note, lambda problem, whose: self.told.append((problem, list(whose))), system_roots
        )
        self.secrets.follow(EDGE, lambda: self.followed.append(self.secrets.problem(EDGE)))

    def _note(self) -> None:
        self.news += 1

    def want(self, *wanted: FileSecret, instance: tuple[str, str] = EDGE) -> None:
        self.wanted[instance] = wanted
        self.secrets.take(self.wanted)

    def end(self, instance: tuple[str, str] = EDGE) -> None:
        self.secrets.forget(instance)
        del self.wanted[instance]
        self.secrets.take(self.wanted)

    def chain(self, instance: tuple[str, str] = EDGE) -> bytes:
        (made,) = self.secrets.of(instance).values()
        return chain(made)


def chain(secret: XdsResource) -> bytes:
    return Secret.FromString(secret.body).tls_certificate.certificate_chain.inline_bytes


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
    unfit = f"the key in {wanted.key} is not that of the certificate in {wanted.certificate}"
    assert node.followed[1:] == [unfit]
    assert node.told == [(unfit, [EDGE])]
    Path(wanted.key).write_bytes(new_key)
    node.secrets.refresh()
    assert node.chain() != before
    assert node.followed[2:] == [""]


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
    node.want(wanted, instance=OTHER)
    node.end()
    assert node.secrets.of(EDGE) == {}
    assert node.chain(OTHER)
    node.want(instance=OTHER)
    assert node.secrets.of(OTHER) == {}
    assert not node.secrets._held


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("no PEM", None, "holds no certificate in PEM form"),
        ("\u00e4", None, "holds no certificate in PEM form"),
        (b"\xe4", None, "is not in PEM form"),
        (None, "no PEM", "holds no private key that can be read without a password"),
    ],
)
def test_files_that_are_of_no_use(
    authority: Authority, certificate: str | bytes | None, key: str | None, message: str
) -> None:
    wanted = pair(authority)
    for path, text in ((wanted.certificate, certificate), (wanted.key, key)):
        if text is not None:
            Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UnusableError, match=message):
        read(wanted, "")


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
    node.want(FileSecret(name=first.name, problem="there is no Secret shop"), instance=OTHER)
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


def test_two_instances_have_their_own_under_one_name(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    node.want(msgspec.structs.replace(pair(authority, "other"), name=first.name), instance=OTHER)
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


def test_a_list_of_what_is_revoked_alone_goes_with_the_roots_of_the_system(authority: Authority) -> None:
    wanted = FileSecret(name="file-root:system~crl", crl=str(authority.revoke()))
    node = Node(str(authority.root))
    node.want(wanted)
    context = Secret.FromString(node.secrets.of(EDGE)[wanted.name].body).validation_context
    assert context.trusted_ca.inline_bytes == authority.root.read_bytes()
    assert b"X509 CRL" in context.crl.inline_bytes
    without = Node()
    without.want(wanted)
    assert "this host has no roots of its operating system" in without.secrets.problem(EDGE)


def test_authorities_may_stand_between_words_in_any_language(authority: Authority) -> None:
    text = authority.root.read_text()
    authority.root.write_text(f"# F\u0151tan\u00fas\u00edtv\u00e1ny\n{text}", encoding="utf-8")
    node = Node()
    node.want(FileSecret(name="file-root:ca", roots=str(authority.root)))
    assert list(node.secrets.of(EDGE)) == ["file-root:ca"]


def test_a_problem_is_told_once_of_all_whose_it_is(tmp_path: Path) -> None:
    node, wanted = Node(), FileSecret(name="late", roots=str(tmp_path / "late.pem"))
    node.wanted = {OTHER: (wanted,), EDGE: (wanted,)}
    node.secrets.take(node.wanted)
    told = [(f"{tmp_path / 'late.pem'}: No such file or directory", [EDGE, OTHER])]
    assert node.told == told
    node.want(wanted, instance=WEB)
    assert node.told == told
    assert SecretUnusable.of(*told[0]).line == f"edge-0 and 1 more: {told[0][0]}"
    assert SecretUnusable.of("it is missing", [WEB]).line == "web-0.web: it is missing"


def test_who_has_the_name_of_one_that_has_ended_has_nothing_of_it(authority: Authority) -> None:
    node, first = Node(), pair(authority)
    node.want(first)
    gone = FileSecret(name=first.name, problem="there is no Secret shop")
    node.want(gone)
    assert node.chain()
    node.secrets.forget(EDGE)
    assert node.secrets.of(EDGE) == {}


def test_a_proxy_of_several_has_secrets_of_each_instance_under_its_name(authority: Authority) -> None:
    node = Node()
    name = "kubernetes://client"
    own, file = msgspec.structs.replace(pair(authority), name=name), pair(authority, "file")
    node.want(own, file)
    node.want(msgspec.structs.replace(pair(authority, "other"), name=name), file, instance=WEB)
    found = node.secrets.of_all()
    edge, web = "edge-0.default/kubernetes://client", "web-0.web/kubernetes://client"
    assert sorted(found) == ["edge-0.default/file-cert:file", edge, "web-0.web/file-cert:file", web]
    assert {one: Secret.FromString(secret.body).name for one, secret in found.items()} == {one: one for one in found}
    assert chain(found[edge]) == chain(node.secrets.of(EDGE)[name])
    assert chain(found[web]) == chain(node.secrets.of(WEB)[name])
    assert node.secrets.of_all() is found
    node.want(msgspec.structs.replace(pair(authority, "third"), name=name), file, instance=WEB)
    after = node.secrets.of_all()
    assert after[edge] is found[edge]
    assert after[web] != found[web]


def test_what_one_keeps_of_a_secret_that_is_gone_is_for_none_that_starts_later(authority: Authority) -> None:
    node = Node()
    name = "kubernetes://client"
    node.want(msgspec.structs.replace(pair(authority), name=name))
    gone = FileSecret(name=name, problem="there is no Secret client in namespace default")
    node.want(gone)
    node.want(gone, instance=OTHER)
    assert sorted(node.secrets.of_all()) == [f"edge-0.default/{name}"], "what runs goes on"
    assert node.secrets.of(OTHER) == {}
    node.secrets.forget(EDGE)
    node.want(gone)
    assert node.secrets.of_all() == {}, "another one that is called so"
