from __future__ import annotations

from pathlib import Path

from tests.support.worlds import read
from tests.support.written import destination_rule, gateway, server

from mizzen.control.unreadable_files import unreadable_files
from mizzen.resources.loading import load


def test_files_that_cannot_be_read_are_warnings_where_they_are_named(tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.touch()
    tls = {
        "mode": "MUTUAL",
        "clientCertificate": str(there),
        "privateKey": f"{tmp_path}/key.pem",
        "caCrl": str(tmp_path),
    }
    rule = destination_rule("a", host="a.example", trafficPolicy={"tls": tls})
    found = [(one.path, one.message, one.level) for one in unreadable_files(read(rule, destination_rule("b")))]
    assert found == [
        ("spec.trafficPolicy.tls.privateKey", f"{tmp_path}/key.pem: No such file or directory", "warning"),
        ("spec.trafficPolicy.tls.caCrl", f"{tmp_path}: Is a directory", "warning"),
    ]


def test_files_of_gateways_are_looked_for_beside_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "there.pem").touch()
    pairs = [
        {"serverCertificate": "there.pem", "privateKey": "gone.key"},
        {"serverCertificate": "/gone/a", "privateKey": "/gone/b"},
    ]
    text = gateway(
        "edge",
        server(443, "a.example", protocol="HTTPS", tls={"mode": "SIMPLE", "tlsCertificates": pairs}),
        server(
            444,
            "b.example",
            protocol="HTTPS",
            tls={
                "mode": "MUTUAL",
                "serverCertificate": "there.pem",
                "privateKey": "there.pem",
                "caCertificates": "ca.pem",
            },
        ),
        server(445, "c.example", protocol="HTTPS", tls={"mode": "SIMPLE", "credentialName": "shop"}),
        server(446, "d.example", protocol="TLS", tls={"mode": "PASSTHROUGH"}),
        server(80),
    )
    gone = "No such file or directory"
    found = unreadable_files(load(text, f"{tmp_path}/mesh.yaml").resources)
    assert [(one.path, one.message, one.level) for one in found] == [
        ("spec.servers[0].tls.tlsCertificates[0].privateKey", f"gone.key ({tmp_path}/gone.key): {gone}", "warning"),
        ("spec.servers[0].tls.tlsCertificates[1].serverCertificate", f"/gone/a: {gone}", "warning"),
        ("spec.servers[0].tls.tlsCertificates[1].privateKey", f"/gone/b: {gone}", "warning"),
        ("spec.servers[1].tls.caCertificates", f"ca.pem ({tmp_path}/ca.pem): {gone}", "warning"),
    ]
