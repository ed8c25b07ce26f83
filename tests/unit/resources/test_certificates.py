from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mizzen.resources.certificates import read_certificates

# As an authority of somebody's own making gives it: with the serial number 0. Its key was thrown away.
NUMBER_0 = """\
-----BEGIN CERTIFICATE-----
MIIBbDCCARKgAwIBAgIBADAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlhLmV4YW1w
bGUwIBcNMjYxMTI3MDkyODM0WhgPMjEyNjExMDMwOTI4MzRaMBQxEjAQBgNVBAMM
CWEuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABC4aJsKVfmbTNDJK
XSCKWTvSCLZ7gce5GlaBqKfgJ4Ns59GBAZnendLeUwXyJ9s9Q9NNrJL4WyaE9nxU
ccbdWEGjUzBRMB0GA1UdDgQWBBR6pNl+fIusQW4VYUVZWLqTO8wHhjAfBgNVHSME
GDAWgBR6pNl+fIusQW4VYUVZWLqTO8wHhjAPBgNVHRMBAf8EBTADAQH/MAoGCCqG
SM49BAMCA0gAMEUCIQDI7Adb4Y+a4fCwv4pmAFT70dwqhN2Vd9GERF6C/CUlHQIg
fIE1h6CiqBMDY4Kwt4ZL3r/S28oVcPqD4mjuwKE5hUw=
-----END CERTIFICATE-----
"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    value = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shop"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": NUMBER_0, "tls.key": "no key"},
    }
    file = tmp_path / "secret.yaml"
    file.write_text(yaml.safe_dump(value))
    return file


@pytest.mark.parametrize("command", [["validate", "-f"], ["analyze", "-k=false"]])
def test_a_serial_number_of_0_is_told_of_in_our_words(secret: Path, command: list[str]) -> None:
    line = [sys.executable, "-c", "from mizzen.cli import main; main()", *command, str(secret)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "Deprecat" not in result.stderr
    assert "the serial number of the certificate is 0; RFC 5280 wants one above 0" in result.stdout + result.stderr


def test_a_certificate_with_the_serial_number_0_is_read_without_a_word() -> None:
    program = f"from mizzen.resources.certificates import read_certificates as read; print(read({NUMBER_0!r})[0].serial_number)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("0\n", "")


def test_what_is_no_certificate_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="PEM"):
        read_certificates("no certificate")
