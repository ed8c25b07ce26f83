import importlib.util
import shutil
import sys

import pytest

from mizzen.node.capture import available
from mizzen.node.capture.available import Availability, availability, choose_capture, missing_capabilities
from mizzen.node.capturing import CaptureError


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (0x1FFFFFFFFFF, []),
        (0, ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
        (1 << 12, ["CAP_SYS_ADMIN"]),
        (1 << 21, ["CAP_NET_ADMIN"]),
    ],
)
def test_capabilities(held: int, missing: list[str]) -> None:
    assert missing_capabilities(held) == missing


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert availability() == Availability("transparent needs Linux, this is darwin")


@pytest.fixture
def privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(available, "_privileges", lambda: None)


def test_the_nft_command_is_needed(privileged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert availability() == Availability("transparent needs the nft command", "install the package nftables")


def test_the_packages_are_needed(privileged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/sbin/nft")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert availability().reason == "transparent needs dnspython and pyroute2"
    assert availability().advice == "pip install 'mizzen[capture]'"


def test_what_the_kernel_refuses_is_told(privileged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> int:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(available, "_packages", lambda: None)
    monkeypatch.setattr(available, "new_namespace", refuse)
    assert "unshare: Operation not permitted" in availability().reason


@pytest.mark.parametrize(
    ("wanted", "reason", "expected"),
    [
        ("explicit", "", ("explicit", "")),
        ("explicit", "transparent needs root", ("explicit", "")),
        ("auto", "", ("transparent", "")),
        ("auto", "transparent needs root", ("explicit", "transparent needs root")),
        ("transparent", "", ("transparent", "")),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, wanted: str, reason: str, expected: tuple[str, str]) -> None:
    monkeypatch.setattr(available, "availability", lambda: Availability(reason, "run with sudo"))
    assert choose_capture(wanted) == expected


def test_transparent_is_not_replaced_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "availability", lambda: Availability("transparent needs root", "run with sudo"))
    with pytest.raises(
        CaptureError, match=r"^--capture transparent needs root: run with sudo, or use --capture explicit$"
    ):
        choose_capture("transparent")
    monkeypatch.setattr(available, "availability", lambda: Availability("transparent needs Linux"))
    with pytest.raises(CaptureError, match=r"^--capture transparent needs Linux: use --capture explicit$"):
        choose_capture("transparent")


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown capture mode 'magic'"):
        choose_capture("magic")
