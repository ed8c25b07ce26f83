from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.identity.pki import (
    DAY,
    NOW,
    REVIEWS,
    TRUST_DOMAIN,
    Clock,
    ca,
    certificates,
    ec_key,
    put,
    put_key,
    rsa_key,
    verify,
)

from mizzen.identity import Authority, AuthorityError, HealthState, new_request
from mizzen.identity.certificates import SigningKey


class Operator:
    """A root, an intermediate under it, and an issuer under that."""

    def __init__(self) -> None:
        self.root_key, self.middle_key, self.key = ec_key(), ec_key(), ec_key()
        self.root = ca("root", self.root_key)
        self.middle = ca("middle", self.middle_key, (self.root.subject, self.root_key))
        self.issuer = ca("issuer", self.key, (self.middle.subject, self.middle_key))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ca"
    made.mkdir(mode=0o700)
    return made


def give(folder: Path, key: SigningKey, *certificate: x509.Certificate) -> None:
    put_key(folder / "ca.key", key)
    put(folder / "ca.crt", *certificate)


def open_at(folder: Path, now: float = NOW, trust_domain: str = TRUST_DOMAIN) -> Authority:
    return Authority.open(folder, trust_domain, clock=Clock(now))


def check_signs(authority: Authority, now: float = NOW) -> list[x509.Certificate]:
    issued = authority.sign(new_request(REVIEWS).csr, REVIEWS, DAY)
    assert verify(issued.chain, issued.roots, now) == [str(REVIEWS)]
    return certificates(issued.chain)


@pytest.mark.parametrize("key", [ec_key(), ec_key(ec.SECP384R1()), rsa_key(2048)], ids=["P-256", "P-384", "RSA"])
def test_a_root_of_the_operators_own(folder: Path, key: SigningKey) -> None:
    root = ca("ours", key)
    give(folder, key, root)
    authority = open_at(folder)
    assert certificates(authority.roots_pem) == [root]
    assert len(check_signs(authority)) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["authority.json", "ca.crt", "ca.key", "lock"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("in_one_file", [False, True])
def test_an_intermediate_with_its_chain(folder: Path, order: tuple[int, int], in_one_file: bool) -> None:
    operator = Operator()
    between = [operator.middle, operator.issuer]
    if in_one_file:
        give(folder, operator.key, operator.issuer, operator.middle)
    else:
        give(folder, operator.key, operator.issuer)
        put(folder / "chain.crt", *(between[index] for index in order))
    put(folder / "root.crt", operator.root)
    _, *rest = check_signs(open_at(folder))
    assert rest == [operator.issuer, operator.middle]


def test_several_roots_are_trusted(folder: Path) -> None:
    operator, other = Operator(), ca("other", ec_key())
    give(folder, operator.middle_key, operator.middle)
    put(folder / "root.crt", other, operator.root)
    authority = open_at(folder)
    check_signs(authority)
    assert certificates(authority.roots_pem) == [other, operator.root]


def test_a_leaf_ends_with_the_first_of_its_issuers(folder: Path) -> None:
    operator = Operator()
    middle = ca("middle", operator.middle_key, (operator.root.subject, operator.root_key), lifetime=1000)
    give(folder, operator.key, operator.issuer)
    put(folder / "chain.crt", middle)
    put(folder / "root.crt", operator.root)
    leaf, *_ = check_signs(open_at(folder))
    assert leaf.not_valid_after_utc.timestamp() == NOW + 1000


@pytest.mark.parametrize(("kept", "missing"), [("ca.crt", "ca.key"), ("ca.key", "ca.crt")])
def test_half_of_a_pair_is_refused(folder: Path, kept: str, missing: str) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key))
    (folder / missing).unlink()
    assert (folder / kept).exists()
    with pytest.raises(AuthorityError, match=rf"{missing}: is missing.*both ca\.crt and ca\.key"):
        open_at(folder)


def test_an_intermediate_needs_its_root(folder: Path) -> None:
    operator = Operator()
    give(folder, operator.middle_key, operator.middle)
    with pytest.raises(AuthorityError, match=r"root\.crt: is missing.*intermediate"):
        open_at(folder)


def test_a_gap_in_the_chain_is_refused(folder: Path) -> None:
    operator = Operator()
    give(folder, operator.key, operator.issuer)
    put(folder / "root.crt", operator.root)
    with pytest.raises(AuthorityError, match=r"no chain leads from .*CN=issuer"):
        open_at(folder)


def test_an_intermediate_among_the_roots_is_refused(folder: Path) -> None:
    operator = Operator()
    give(folder, operator.key, operator.issuer)
    put(folder / "root.crt", operator.middle)
    with pytest.raises(AuthorityError, match=r"root\.crt: .*CN=middle is not a root.*chain\.crt"):
        open_at(folder)


def test_a_root_that_allows_too_few_authorities_is_refused(folder: Path) -> None:
    key, middle_key = ec_key(), ec_key()
    root = ca("root", key, path_length=0)
    give(folder, middle_key, ca("middle", middle_key, (root.subject, key)))
    put(folder / "root.crt", root)
    with pytest.raises(AuthorityError, match="CN=root allows 0 authorities below it, here are 1"):
        open_at(folder)


def test_a_servers_certificate_is_refused(folder: Path) -> None:
    key, root_key = ec_key(), ec_key()
    root = ca("root", root_key)
    give(folder, key, ca("server", key, (root.subject, root_key), is_ca=False))
    put(folder / "root.crt", root)
    with pytest.raises(AuthorityError, match=r"ca\.crt: .*CN=server is not a certificate authority's"):
        open_at(folder)


def test_a_readable_key_is_refused(folder: Path) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key))
    (folder / "ca.key").chmod(0o644)
    with pytest.raises(AuthorityError, match=r"ca\.key: others can read"):
        open_at(folder)


def test_another_key_is_refused(folder: Path) -> None:
    give(folder, ec_key(), ca("ours", ec_key()))
    with pytest.raises(AuthorityError, match=r"ca\.crt: the key does not fit"):
        open_at(folder)


@pytest.mark.parametrize(("which", "name"), [(0, "root"), (1, "middle")])
def test_an_expired_certificate_anywhere_in_the_chain_is_refused(folder: Path, which: int, name: str) -> None:
    keys = [ec_key(), ec_key()]
    ends = [500 * DAY, 500 * DAY]
    ends[which] = 10 * DAY
    root = ca("root", keys[0], lifetime=ends[0])
    give(folder, keys[1], ca("middle", keys[1], (root.subject, keys[0]), lifetime=ends[1]))
    put(folder / "root.crt", root)
    open_at(folder)
    with pytest.raises(AuthorityError, match=f"CN={name} expired 2 d ago"):
        open_at(folder, NOW + 12 * DAY)


def test_an_intermediate_that_ends_soon_is_a_health_failure(folder: Path) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key, lifetime=90 * DAY))
    assert open_at(folder).health().state is HealthState.OK
    assert open_at(folder, NOW + 84 * DAY).health().state is HealthState.EXPIRING


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        ("spiffe://cluster.local", True),
        ("spiffe://example.org", False),
        ("spiffe://cluster.local.example.org/x", False),
        ("https://ours", True),
    ],
)
def test_the_certificates_trust_domain_must_be_the_meshes(folder: Path, uri: str, fits: bool) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key, uri=uri))
    if fits:
        check_signs(open_at(folder))
        return
    with pytest.raises(AuthorityError, match=f"is for {uri}, the mesh's trust domain is cluster.local"):
        open_at(folder)


def test_the_trust_domain_is_fixed_for_an_operators_authority_too(folder: Path) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key))
    open_at(folder)
    with pytest.raises(AuthorityError, match=r"made for the trust domain cluster\.local"):
        open_at(folder, trust_domain="example.org")


@pytest.mark.parametrize(
    ("key", "reason"),
    [(ec_key(ec.SECP521R1()), "secp521r1"), (rsa_key(1024), "1024 bits")],
    ids=["P-521", "RSA-1024"],
)
def test_weak_and_odd_keys_are_refused(folder: Path, key: SigningKey, reason: str) -> None:
    give(folder, key, ca("ours", key))
    with pytest.raises(AuthorityError, match=rf"ca\.crt: .*{reason}"):
        open_at(folder)


def test_encrypted_and_other_keys_are_refused(folder: Path) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key))
    path = folder / "ca.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(AuthorityError, match=r"ca\.key: the private key is encrypted.*openssl pkey"):
        open_at(folder)
    other = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(AuthorityError, match=r"Ed25519PrivateKey.*use ECDSA or RSA"):
        open_at(folder)


@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
@given(st.binary(min_size=1, max_size=4), st.integers(0, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_certificates_never_crash(folder: Path, noise: bytes, where: int) -> None:
    key = ec_key()
    root = ca("ours", key, uri="spiffe://cluster.local")
    der = root.public_bytes(Encoding.DER)
    damaged = der[:where] + noise + der[where + len(noise) :]
    give(folder, key, root)
    text = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(damaged).decode()}-----END CERTIFICATE-----\n"
    (folder / "ca.crt").write_text(text)
    if damaged == der:
        return
    with pytest.raises(AuthorityError, match=r"ca\.crt: |root\.crt: "):
        open_at(folder)


def test_rotation_is_the_operators_own_business(folder: Path) -> None:
    key = ec_key()
    give(folder, key, ca("ours", key))
    authority = open_at(folder)
    assert authority.next_due() is None
    assert authority.advance() == ()
    with pytest.raises(AuthorityError, match=r"add the new root to root\.crt"):
        authority.rotate_root()


def test_the_change_from_our_root_to_the_operators_leaves_no_gap(folder: Path) -> None:
    key = ec_key()
    root = ca("ours", key)
    open_at(folder)
    with (folder / "root.crt").open("ab") as file:
        file.write(root.public_bytes(Encoding.PEM))
    announced = open_at(folder).sign(new_request(REVIEWS).csr, REVIEWS, DAY)
    give(folder, key, root)
    brought = open_at(folder).sign(new_request(REVIEWS).csr, REVIEWS, DAY)
    for one in (announced, brought):
        for other in (announced, brought):
            assert verify(one.chain, other.roots, NOW) == [str(REVIEWS)]
