from __future__ import annotations

from pathlib import Path

from tests.support.worlds import read
from tests.support.written import destination_rule

from mizzen.control.unreadable_files import unreadable_files


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
