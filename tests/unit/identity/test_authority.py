from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import VerificationError
from tests.unit.identity.pki import (
    DAY,
    NOW,
    REVIEWS,
    Clock,
    ca,
    certificates,
    ec_key,
    issue,
    mode,
    open_at,
    put,
    put_key,
    verify,
)

from mizzen.identity import AuthorityError, HealthState, RequestRefusedError, keystore, roots
from mizzen.identity import certificates as certs
from mizzen.identity.certificates import SigningKey
from mizzen.mesh.spiffe import SpiffeId

YEAR = 365 * DAY


# Making


def test_the_first_root_is_private_and_whole(folder: Path) -> None:
    authority = open_at(folder, Clock())
    assert mode(folder) == 0o700
    assert mode(folder / "root.key") == 0o600
    assert mode(folder / "authority.json") == 0o600
    (root,) = certificates((folder / "root.crt").read_text())
    assert authority.roots_pem == (folder / "root.crt").read_text()
    assert root.not_valid_after_utc.timestamp() == NOW + 10 * YEAR
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_key_is_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        open_at(folder, Clock())
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert mode(folder / "root.key") == 0o600


def test_a_folder_that_others_may_list_is_closed_before_a_key_is_made(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    open_at(folder, Clock())
    assert mode(folder) == 0o700


def test_opening_again_gives_the_same_root(folder: Path) -> None:
    first = open_at(folder, Clock())
    assert open_at(folder, Clock(NOW + DAY)).roots_pem == first.roots_pem


_RACER = """
import sys, pathlib
from mizzen.identity import Authority
sys.stdin.readline()
print(Authority.open(pathlib.Path(sys.argv[1]), "cluster.local", clock=lambda: 1.8e9).roots_pem)
"""


def test_processes_that_race_get_one_root(folder: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    outputs = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert {output[output.index("-----BEGIN") :] for output in outputs} == {(folder / "root.crt").read_text() + "\n"}


def test_the_root_is_made_under_a_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    write = keystore.write_key

    def meddle(path: Path, key: SigningKey) -> None:
        with (path.parent / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tried.append(path.name)
        write(path, key)

    monkeypatch.setattr(keystore, "write_key", meddle)
    open_at(folder, Clock()).rotate_root()
    assert tried == ["root.key", "root-2.key"]


@pytest.mark.parametrize("left", [(), ("root.key",), ("root.key", "root.crt")])
def test_a_crash_at_any_moment_of_the_making_is_mended(folder: Path, left: tuple[str, ...]) -> None:
    open_at(folder, Clock())
    kept = {name: (folder / name).read_bytes() for name in left}
    for path in list(folder.iterdir()):
        if path.name not in left:
            path.unlink()
    authority = open_at(folder, Clock())
    assert kept == {name: (folder / name).read_bytes() for name in left}
    issued = issue(authority)
    assert verify(issued.chain, issued.roots, NOW) == [str(REVIEWS)]


def test_a_disk_that_is_full_leaves_nothing_half_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthorityError, match=r"root\.key: cannot be written: No space left on device"):
        open_at(folder, Clock())
    assert [path.name for path in folder.iterdir()] == ["lock"]


# Refusing


def test_a_key_that_others_can_read_is_refused(folder: Path) -> None:
    open_at(folder, Clock())
    for bad in (0o640, 0o604, 0o644, 0o660):
        (folder / "root.key").chmod(bad)
        with pytest.raises(AuthorityError, match=rf"root\.key: others can read .*{bad:04o}.*chmod 0600") as caught:
            open_at(folder, Clock())
        assert caught.value.where == folder / "root.key"
    (folder / "root.key").chmod(0o400)
    open_at(folder, Clock())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_another_user_is_refused(folder: Path) -> None:
    open_at(folder, Clock())
    os.chown(folder / "root.key", 12345, -1)
    with pytest.raises(AuthorityError, match="belongs to another user"):
        open_at(folder, Clock())


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o770)
    with pytest.raises(AuthorityError, match=r"others may write to the folder \(mode 0770\).*chmod 0700"):
        open_at(folder, Clock())


def test_a_file_where_the_folder_should_be_is_refused(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.raises(AuthorityError, match="cannot be made"):
        open_at(folder, Clock())


def test_a_key_of_another_certificate_is_refused(folder: Path) -> None:
    open_at(folder, Clock())
    put_key(folder / "root.key", ec_key())
    with pytest.raises(AuthorityError, match=r"root\.crt: the key does not fit"):
        open_at(folder, Clock())


def test_an_expired_root_is_refused_and_nothing_is_changed(folder: Path) -> None:
    open_at(folder, Clock())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AuthorityError, match=r"root\.crt: .* expired 1 d ago.*restart the mesh"):
        open_at(folder, Clock(NOW + 10 * YEAR + DAY))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_root_of_the_future_is_refused(folder: Path) -> None:
    open_at(folder, Clock())
    with pytest.raises(AuthorityError, match=r"valid only from .*clock"):
        open_at(folder, Clock(NOW - DAY))


def test_a_certificate_that_is_no_authoritys_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    key = ec_key()
    put_key(folder / "root.key", key)
    put(folder / "root.crt", ca("server", key, is_ca=False))
    with pytest.raises(AuthorityError, match=r"root\.crt: .*CN=server is not a certificate authority's.*CA:TRUE"):
        open_at(folder, Clock())


def test_an_intermediate_is_not_a_root(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    key, root_key = ec_key(), ec_key()
    put_key(folder / "root.key", key)
    put(folder / "root.crt", ca("between", key, (ca("top", root_key).subject, root_key)))
    with pytest.raises(AuthorityError, match=r"root\.crt: .* did not sign itself.*ca\.crt and ca\.key"):
        open_at(folder, Clock())


def test_the_trust_domain_is_fixed_with_the_root(folder: Path) -> None:
    open_at(folder, Clock())
    with pytest.raises(
        AuthorityError, match=r"made for the trust domain cluster\.local, the mesh is set to example\.org"
    ):
        open_at(folder, Clock(), "example.org")
    (folder / "authority.json").unlink()
    with pytest.raises(
        AuthorityError, match=r"is for spiffe://cluster\.local, the mesh's trust domain is example\.org"
    ):
        open_at(folder, Clock(), "example.org")


def test_a_trust_domain_must_be_one(folder: Path) -> None:
    with pytest.raises(AuthorityError, match="lower-case"):
        open_at(folder, Clock(), "Example.org")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"trustDomain":"cluster.local","roots":[{"name":"root","stage":"old","since":0}]}', "one active root"),
        ('{"trustDomain":"cluster.local","version":2}', "format 2"),
        ('{"trustDomain":"cluster.local","surprise":1}', "surprise"),
    ],
)
def test_a_damaged_state_file_is_refused(folder: Path, text: str, reason: str) -> None:
    open_at(folder, Clock())
    (folder / "authority.json").write_text(text)
    with pytest.raises(AuthorityError, match=rf"authority\.json: .*{reason}"):
        open_at(folder, Clock())


@pytest.mark.parametrize("name", ["root.key", "root.crt"])
@pytest.mark.parametrize("text", [None, "", "nonsense"])
def test_missing_and_damaged_files_are_named(folder: Path, name: str, text: str | None) -> None:
    open_at(folder, Clock())
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(AuthorityError, match=rf"{re.escape(name)}: .*restore the folder from a backup"):
        open_at(folder, Clock())


def test_a_lone_certificate_is_never_overwritten(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    put(folder / "root.crt", ca("mine", ec_key()))
    before = (folder / "root.crt").read_bytes()
    with pytest.raises(AuthorityError, match=r"root\.crt: is there without root\.key.*ca\.key"):
        open_at(folder, Clock())
    assert (folder / "root.crt").read_bytes() == before


# Signing


def test_what_is_signed_verifies_and_says_how_long(folder: Path) -> None:
    issued = issue(open_at(folder, Clock()))
    assert (issued.not_before, issued.not_after) == (NOW - 60, NOW + DAY)
    assert verify(issued.chain, issued.roots, NOW) == [str(REVIEWS)]
    with pytest.raises(VerificationError):
        verify(issued.chain, issued.roots, NOW + DAY + 1)


def test_openssl_agrees(folder: Path, tmp_path: Path) -> None:
    issued = issue(open_at(folder, Clock()))
    (tmp_path / "leaf").write_text(issued.chain)
    for purpose in ("sslclient", "sslserver"):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(NOW))]
        done = subprocess.run(
            [*command, "-CAfile", str(folder / "root.crt"), str(tmp_path / "leaf")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_roots_end_bounds_the_leafs(folder: Path) -> None:
    clock = Clock()
    open_at(folder, clock)
    clock.now = NOW + 10 * YEAR - 1000
    folder_state = json.loads((folder / "authority.json").read_text())
    authority = open_at(folder, clock)
    assert folder_state["roots"][0]["name"] == "root"
    assert issue(authority).not_after == NOW + 10 * YEAR
    clock.now = NOW + 10 * YEAR
    with pytest.raises(AuthorityError, match="expired"):
        issue(authority)


def test_another_trust_domains_identity_is_refused(folder: Path) -> None:
    other = SpiffeId("example.org", "default", "reviews")
    with pytest.raises(RequestRefusedError, match=r"not of the trust domain cluster\.local"):
        issue(open_at(folder, Clock()), other)


@pytest.mark.parametrize("lifetime", [0, -1, 0.5, float("nan"), float("inf"), 100 * YEAR])
def test_senseless_lifetimes_are_refused(folder: Path, lifetime: float) -> None:
    with pytest.raises(RequestRefusedError, match="lifetime"):
        issue(open_at(folder, Clock()), lifetime=lifetime)


def test_a_foreign_root_does_not_verify(folder: Path, tmp_path: Path) -> None:
    issued = issue(open_at(folder, Clock()))
    foreign = open_at(tmp_path / "other", Clock())
    with pytest.raises(VerificationError):
        verify(issued.chain, foreign.roots_pem, NOW)


# Health


def test_health_gives_a_runway(folder: Path) -> None:
    clock = Clock()
    authority = open_at(folder, clock)
    assert authority.health().state is HealthState.OK
    clock.now = NOW + 10 * YEAR - 30 * DAY
    health = authority.health()
    assert health.state is HealthState.EXPIRING
    assert "expires in 30 d" in health.message
    assert health.not_after == NOW + 10 * YEAR
    clock.now = NOW + 10 * YEAR
    assert authority.health().state is HealthState.EXPIRED


def test_an_operator_may_announce_a_root_of_their_own(folder: Path) -> None:
    open_at(folder, Clock())
    with (folder / "root.crt").open("a") as file:
        file.write(certs.pem([ca("ours", ec_key())]))
    authority = open_at(folder, Clock())
    assert len(certificates(authority.roots_pem)) == 2
    assert verify(issue(authority).chain, authority.roots_pem, NOW)
    assert roots.STATE_FILE in {path.name for path in folder.iterdir()}
