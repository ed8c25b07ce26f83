from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.settings import ComposeProject, Settings, holds_resources

SETTINGS = Settings(
    name="shop",
    state_dir=Path("/state"),
    paths=(Path("/a.yaml"), Path("/b")),
    capture="explicit",
    compose=(ComposeProject("web", ("docker", "compose", "-p", "web")),),
    log_format="json",
)
# What sun_path holds on macOS, with the zero at its end; Linux has four bytes more.
LONGEST_SOCKET = 104


def test_settings_cross_process_borders() -> None:
    assert Settings.from_json(SETTINGS.to_json()) == SETTINGS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.yaml", True),
        ("web.yml", True),
        ("compose-web.json", True),
        ("web-compose.yaml", True),
        ("compose.networking.yaml", True),
        (".web.yaml", False),
        ("web.txt", False),
        ("compose.yaml", False),
        ("compose.yml", False),
        ("docker-compose.yaml", False),
        ("docker-compose.override.yml", False),
    ],
)
def test_what_is_read_of_a_folder(name: str, expected: bool) -> None:
    assert holds_resources(Path("/folder", name)) is expected


@pytest.mark.parametrize(
    ("namespace", "proxy", "name"),
    [
        ("default", False, "web-0.log"),
        ("default", True, "web-0-envoy.log"),
        ("blue", False, "web-0.blue.log"),
        ("blue", True, "web-0.blue-envoy.log"),
    ],
)
def test_log_files(namespace: str, proxy: bool, name: str) -> None:
    assert SETTINGS.log_file(namespace, "web-0", proxy=proxy) == Path("/state/logs", name)


def test_sockets_are_in_the_state_directory() -> None:
    assert SETTINGS.api_socket == Path("/state/run/api.sock")


def test_sockets_of_a_deep_state_directory_are_where_paths_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    folders = {Settings(name="x", state_dir=Path("/state" * 20, name)).sockets for name in "ab"}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {Path("/tmp")}


@pytest.mark.parametrize("depth", range(40, 110))
def test_every_socket_has_a_path_that_the_system_takes(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    settings = Settings(name="x", state_dir=Path("/" + "é" * (depth // 2)))
    sockets = [settings.api_socket, settings.xds_socket, settings.sds_socket]
    sockets.append(settings.admin_socket("n" * 63, "w" * 63 + "-10"))
    assert all(len(str(socket).encode()) < LONGEST_SOCKET for socket in sockets)


def test_each_proxy_has_a_socket_of_its_own() -> None:
    names = [("default", "reviews-of-books-0"), ("default", "reviews-of-books-1"), ("blue", "reviews-of-books-0")]
    assert len({SETTINGS.admin_socket(*name) for name in names}) == 3
