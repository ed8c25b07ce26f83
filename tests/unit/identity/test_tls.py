"""Mutual TLS between two contexts of OpenSSL, with certificates of the authority, over memory."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.identity.pki import RATINGS, REVIEWS, TRUST_DOMAIN, ca, certificates, ec_key, put, put_key, signing_key

from mizzen.identity import Authority, KeyMaterial, new_request
from mizzen.identity.certificates import uri_names
from mizzen.mesh.spiffe import SpiffeId


def member(folder: Path, identity: SpiffeId, trust_domain: str = TRUST_DOMAIN) -> KeyMaterial:
    # OpenSSL looks at the real clock.
    authority = Authority.open(folder, trust_domain, clock=time.time)
    request = new_request(identity)
    issued = authority.sign(request.csr, identity, 3600)
    return KeyMaterial(request.key, issued.chain, issued.roots)


def context(side: int, folder: Path, roots: str, material: KeyMaterial | None) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=roots)
    if material:
        path = folder / f"{side}.pem"
        path.write_text(material.key + material.chain)
        made.load_cert_chain(path)
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """Shakes hands over memory; returns what each side learns of the other's identity, and raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = server.wrap_bio(to_server, to_client, server_side=True)
    right = client.wrap_bio(to_client, to_server)
    waiting = {left, right}
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    # A TLS 1.3 client is done before the server has looked at its certificate: read what the server says.
    left.write(b"hello")
    assert right.read() == b"hello"
    return _peer(left), _peer(right)


def _peer(side: ssl.SSLObject) -> str:
    der = side.getpeercert(binary_form=True)
    assert der
    (name,) = uri_names(x509.load_der_x509_certificate(der))
    return name


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    return tmp_path / "mesh"


def test_two_workloads_of_one_mesh_know_each_other(mesh: Path, tmp_path: Path) -> None:
    reviews, ratings = member(mesh, REVIEWS), member(mesh, RATINGS)
    server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path, ratings.roots, ratings)
    client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, reviews.roots, reviews)
    assert handshake(server, client) == (str(REVIEWS), str(RATINGS))


def test_an_operators_intermediate_works_on_the_wire(mesh: Path, tmp_path: Path) -> None:
    mesh.mkdir(mode=0o700)
    root_key, key, now = ec_key(), ec_key(), time.time()
    root = ca("root", root_key, now=now)
    put_key(mesh / "ca.key", key)
    put(mesh / "ca.crt", ca("between", key, (root.subject, root_key), now=now))
    put(mesh / "root.crt", root)
    test_two_workloads_of_one_mesh_know_each_other(mesh, tmp_path)


def test_another_roots_client_is_refused(mesh: Path, tmp_path: Path) -> None:
    ratings, stranger = member(mesh, RATINGS), member(tmp_path / "other", REVIEWS)
    server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path, ratings.roots, ratings)
    client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, ratings.roots, stranger)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)


def test_another_roots_server_is_refused(mesh: Path, tmp_path: Path) -> None:
    reviews, stranger = member(mesh, REVIEWS), member(tmp_path / "other", RATINGS)
    server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path, reviews.roots, stranger)
    client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, reviews.roots, reviews)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)


def test_a_client_without_a_certificate_is_refused(mesh: Path, tmp_path: Path) -> None:
    ratings = member(mesh, RATINGS)
    server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path, ratings.roots, ratings)
    client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, ratings.roots, None)
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        handshake(server, client)


def test_a_workload_cannot_sign_for_another(mesh: Path, tmp_path: Path) -> None:
    """A leaf that poses as an authority is not taken for one."""
    reviews = member(mesh, REVIEWS)
    (tmp_path / "forger").mkdir(mode=0o700)
    forged_key = ec_key()
    (leaf,) = certificates(reviews.chain)
    signer = (leaf.subject, signing_key(reviews.key))
    forged = ca("forged", forged_key, signer, is_ca=False, now=time.time(), uri=str(RATINGS))
    put_key(tmp_path / "forged.key", forged_key)
    put(tmp_path / "forged.crt", forged, leaf)
    material = KeyMaterial((tmp_path / "forged.key").read_text(), (tmp_path / "forged.crt").read_text(), reviews.roots)
    server = context(ssl.PROTOCOL_TLS_SERVER, tmp_path, reviews.roots, reviews)
    client = context(ssl.PROTOCOL_TLS_CLIENT, tmp_path, reviews.roots, material)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)
