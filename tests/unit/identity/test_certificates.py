from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.identity.pki import DAY, NOW, RATINGS, REVIEWS, TRUST_DOMAIN, csr, ec_key, rsa_key

from mizzen.identity import certificates as certs
from mizzen.identity.certificates import SigningKey, Validity
from mizzen.identity.errors import RequestRefusedError
from mizzen.identity.keys import new_request

_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _leaf(key: SigningKey) -> x509.Certificate:
    root_key = ec_key()
    root = certs.new_root(root_key, TRUST_DOMAIN, NOW)
    public = certs.requested_key(csr(key), REVIEWS)
    return certs.new_leaf(public, REVIEWS, Validity(NOW - 60, NOW + DAY), root_key, root)


def test_a_leaf_is_an_x509_svid() -> None:
    leaf = _leaf(ec_key())
    assert leaf.subject == x509.Name([])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.UniformResourceIdentifier(str(REVIEWS))]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(extended) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_an_rsa_leaf_may_encipher_keys() -> None:
    assert _leaf(rsa_key(2048)).extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment


def test_serial_numbers_are_random() -> None:
    numbers = {_leaf(ec_key()).serial_number for _ in range(20)}
    assert len(numbers) == 20
    assert min(number.bit_length() for number in numbers) > 100


def test_a_root_names_its_trust_domain_and_differs_from_every_other() -> None:
    first, second = (certs.new_root(ec_key(), TRUST_DOMAIN, NOW) for _ in range(2))
    assert certs.uri_names(first) == ["spiffe://cluster.local"]
    assert first.subject != second.subject
    assert certs.validity(first) == Validity(NOW - 3600, NOW + 10 * 365 * DAY)


@given(st.floats(1, 20 * 365 * DAY), st.floats(0, 10 * 365 * DAY))
def test_a_leaf_never_leaves_its_issuers_life(lifetime: float, after: float) -> None:
    issuers = Validity(NOW - 3600, NOW + 10 * 365 * DAY)
    valid = certs.leaf_validity(lifetime, issuers, NOW + after)
    assert issuers.not_before <= valid.not_before <= NOW + after
    assert valid.not_after <= min(issuers.not_after, NOW + after + lifetime)


def test_the_beginning_is_bounded_by_the_root() -> None:
    assert certs.leaf_validity(DAY, Validity(NOW - 10, NOW + DAY), NOW).not_before == NOW - 10
    assert certs.leaf_validity(DAY, Validity(NOW - 3600, NOW + 2 * DAY), NOW).not_before == NOW - 60


@pytest.mark.parametrize("key", [ec_key(), ec_key(ec.SECP384R1()), rsa_key(2048)], ids=["P-256", "P-384", "RSA"])
def test_strong_keys_are_signed(key: SigningKey) -> None:
    assert certs.requested_key(csr(key), REVIEWS) == key.public_key()


@pytest.mark.parametrize(
    ("key", "reason"),
    [(ec_key(ec.SECP521R1()), "secp521r1"), (ec_key(ec.SECP224R1()), "secp224r1"), (rsa_key(1024), "1024 bits")],
)
def test_other_keys_are_refused(key: SigningKey, reason: str) -> None:
    with pytest.raises(RequestRefusedError, match=f"{reason}.*use ECDSA P-256"):
        certs.requested_key(csr(key), REVIEWS)


def test_a_key_of_another_kind_is_refused() -> None:
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(ed25519.Ed25519PrivateKey.generate(), None)
    with pytest.raises(RequestRefusedError, match="Ed25519"):
        certs.requested_key(request.public_bytes(Encoding.PEM).decode(), REVIEWS)


def test_subject_and_other_names_have_no_effect_but_another_identity_is_refused() -> None:
    key = ec_key()
    dns, own, other = (
        x509.DNSName("bank.example"),
        x509.UniformResourceIdentifier(str(REVIEWS)),
        x509.UniformResourceIdentifier(str(RATINGS)),
    )
    certs.requested_key(csr(key, dns, own, common_name="bank.example"), REVIEWS)
    for names in ([other], [own, other], [x509.UniformResourceIdentifier("https://bank.example")]):
        with pytest.raises(RequestRefusedError, match="the request is for"):
            certs.requested_key(csr(key, *names), REVIEWS)


def test_a_forged_signature_is_refused() -> None:
    pem = new_request(REVIEWS).csr
    der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
    der[-1] ^= 1
    forged = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(bytes(der)).decode() + pem.splitlines()[-1]
    with pytest.raises(RequestRefusedError):
        certs.requested_key(forged, REVIEWS)


def test_someone_elses_key_is_refused() -> None:
    victim, attacker = new_request(REVIEWS).csr, ec_key()
    public = x509.load_pem_x509_csr(victim.encode()).public_key().public_bytes(*_SPKI)
    own = csr(attacker)
    der = base64.b64decode("".join(own.splitlines()[1:-1]))
    swapped = der.replace(attacker.public_key().public_bytes(*_SPKI), public)
    assert swapped != der
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(swapped).decode() + own.splitlines()[-1]
    with pytest.raises(RequestRefusedError, match="signature does not fit"):
        certs.requested_key(pem, REVIEWS)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END", "é" * 10])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError, match="not a readable"):
        certs.requested_key(text, REVIEWS)


def test_an_enormous_request_is_not_even_read() -> None:
    with pytest.raises(RequestRefusedError, match="more than"):
        certs.requested_key("x" * 1_000_000, REVIEWS)


@given(st.binary(max_size=200), st.integers(0, 150))
@example(b"\x07", 9)  # a version that there is not: an error of its own in the library
def test_damaged_requests_never_crash(noise: bytes, where: int) -> None:
    lines = _REQUEST.splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    damaged = der[:where] + noise + der[where + len(noise) :]
    pem = f"{lines[0]}\n{base64.encodebytes(damaged).decode()}{lines[-1]}\n"
    if damaged == der:
        return
    with pytest.raises(RequestRefusedError):
        certs.requested_key(pem, REVIEWS)


def test_the_nodes_own_request_is_accepted_and_names_one_identity() -> None:
    request = new_request(REVIEWS)
    parsed = x509.load_pem_x509_csr(request.csr.encode())
    assert certs.requested_uris(parsed) == [str(REVIEWS)]
    assert certs.requested_key(request.csr, REVIEWS) == parsed.public_key()
    assert parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []


def test_the_key_does_not_show_when_it_is_printed() -> None:
    assert "PRIVATE" not in repr(new_request(REVIEWS))


_REQUEST = new_request(REVIEWS).csr
